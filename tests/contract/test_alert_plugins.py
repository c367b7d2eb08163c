"""What every alert plugin must do, whatever its destination. All receivers are on this machine.

A new built-in plugin joins by a line in `destinations.py`; a test fails until it does.
"""

import re
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from heartbeat_central.alerts import config as plugin_config
from heartbeat_central.alerts.base import Outbound
from heartbeat_central.alerts.http import HttpClient
from heartbeat_central.alerts.registry import Registry
from heartbeat_central.domain.alert import AlertKind, Envelope
from heartbeat_central.domain.digest import DigestTopic
from heartbeat_central.domain.errors import PermanentFailure, TemporaryFailure
from tests.contract.destinations import DESTINATIONS, TOKEN, Destination, HttpDestination, Running
from tests.support.receivers.certificates import Certificates
from tests.support.sample_alerts import HOSTILE_NAMES, carrying, digest, envelope

SHORT = 0.5
SOON = 3.0
"""Seconds within which a send of SHORT has ended, on a busy machine too."""

NAMES = {
    **HOSTILE_NAMES,
    "10,000 characters": "Backup " * 1428 + "last",
    "discord and slack at once": "@everyone <!channel|x> <@U1> https://evil.example/a_b_c",
    "overrides only": "\u202e\u2066\u200f",
}

every_plugin = pytest.mark.parametrize(
    "destination", DESTINATIONS, ids=lambda destination: destination.type
)
over_http = pytest.mark.parametrize(
    "destination",
    [one for one in DESTINATIONS if isinstance(one, HttpDestination)],
    ids=lambda destination: destination.type,
)


@pytest.fixture(scope="module")
def warm(registry: Registry, outbound: Outbound) -> Iterator[Registry]:
    """The plugins, with Apprise's process up: its start takes longer than the short deadlines."""
    apprise: Any = registry.get("apprise")
    config = plugin_config.validate(apprise, {"url": "json://127.0.0.1:9/"})
    with pytest.raises(TemporaryFailure):
        apprise.send(envelope(), config, replace(outbound, timeout=30.0))
    yield registry
    apprise.close()


class Sender:
    """Sends through one plugin to one receiver."""

    def __init__(self, registry: Registry, outbound: Outbound, certificates: Certificates) -> None:
        self._registry = registry
        self._outbound = outbound
        self._certificates = certificates

    def to(self, destination: Destination, behaviour: str, timeout: float = 5.0) -> Any:
        outbound = replace(self._outbound, timeout=timeout)
        return destination.behaving(behaviour, outbound, self._certificates)

    def send(self, destination: Destination, running: Running, what: Envelope) -> str:
        plugin = self._registry.get(destination.type)
        config = plugin_config.validate(plugin, running.config)
        return plugin.send(what, config, running.outbound)


@pytest.fixture
def sender(warm: Registry, outbound: Outbound, certificates: Certificates) -> Sender:
    return Sender(warm, outbound, certificates)


def test_every_built_in_plugin_is_in_this_suite(registry: Registry) -> None:
    assert [plugin.type for plugin in registry.all()] == [one.type for one in DESTINATIONS]


@every_plugin
@pytest.mark.parametrize("kind", [AlertKind.DOWN, AlertKind.UP, AlertKind.TEST])
def test_delivers(sender: Sender, destination: Destination, kind: AlertKind) -> None:
    with sender.to(destination, "accepts") as running:
        said = sender.send(destination, running, envelope(kind=kind))

        [text] = running.texts()
        name = "test" if kind is AlertKind.TEST else "Nightly backup"
        assert name in text
        assert kind.value.upper() in text.upper()
        assert "https://hc.example/" in text
        assert said
        assert TOKEN not in said


@every_plugin
def test_a_refusal_for_good_is_permanent(sender: Sender, destination: Destination) -> None:
    expected = PermanentFailure if destination.permanent_is_known else TemporaryFailure
    with sender.to(destination, "refuses for good") as running:
        with pytest.raises(expected) as caught:
            sender.send(destination, running, envelope())
        assert_safe(str(caught.value))


@every_plugin
@pytest.mark.parametrize(
    "behaviour", ["refuses for now", "resets", "refuses without end", "babbles"]
)
def test_what_may_pass_is_temporary(
    sender: Sender, destination: Destination, behaviour: str
) -> None:
    with sender.to(destination, behaviour) as running:
        with pytest.raises(TemporaryFailure) as caught:
            sender.send(destination, running, envelope())
        assert_safe(str(caught.value))


@every_plugin
@pytest.mark.parametrize("behaviour", ["hangs", "drips", "stalls in TLS"])
def test_ends_at_the_deadline(sender: Sender, destination: Destination, behaviour: str) -> None:
    with sender.to(destination, behaviour, timeout=SHORT) as running:
        started = time.monotonic()
        with pytest.raises(TemporaryFailure) as caught:
            sender.send(destination, running, envelope())
        assert time.monotonic() - started < SOON
        assert_safe(str(caught.value))


@over_http
def test_a_body_without_end_is_not_read_to_its_end(
    sender: Sender, destination: Destination
) -> None:
    """The native plugins know from the status that it was accepted; Apprise reads on and fails."""
    with sender.to(destination, "accepts without end") as running:
        if destination.permanent_is_known:
            sender.send(destination, running, envelope())
        else:
            with pytest.raises(TemporaryFailure):
                sender.send(destination, running, envelope())


@over_http
def test_a_redirect_is_not_followed(sender: Sender, destination: Destination) -> None:
    expected = PermanentFailure if destination.permanent_is_known else TemporaryFailure
    with sender.to(destination, "redirects") as running:
        with pytest.raises(expected):
            sender.send(destination, running, envelope())
        assert len(running.texts()) == 1


@over_http
@pytest.mark.parametrize("behaviour", ["limits, in seconds", "limits, with a date"])
def test_a_rate_limit_says_how_long_to_wait(
    sender: Sender, destination: Destination, behaviour: str
) -> None:
    with sender.to(destination, behaviour) as running:
        with pytest.raises(TemporaryFailure) as caught:
            sender.send(destination, running, envelope())
        if destination.permanent_is_known:
            assert caught.value.retry_after == timedelta(seconds=77)


@every_plugin
def test_a_receiver_that_repeats_secrets_does_not_get_them_into_the_message(
    sender: Sender, destination: Destination
) -> None:
    with (
        sender.to(destination, "echoes") as running,
        pytest.raises((PermanentFailure, TemporaryFailure)) as caught,
    ):
        sender.send(destination, running, envelope())
    assert_safe(str(caught.value))


@every_plugin
@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_a_hostile_name_arrives_as_a_name(
    sender: Sender, destination: Destination, name: str
) -> None:
    with sender.to(destination, "accepts") as running:
        sender.send(destination, running, envelope(name))

        [text] = running.texts()
        assert "hc.example/applications/7" in text
        if destination.type != "webhook":
            assert not set(text) & set("\r\x00\x08\x1b\x85\u2028\u202e\ud800")


@every_plugin
@pytest.mark.parametrize("closed", [False, True], ids=["down", "up again"])
def test_a_digest_names_its_applications_and_how_they_are(
    sender: Sender, destination: Destination, closed: bool
) -> None:
    names = ["Nightly backup", "Web shop", "Mail"]
    with sender.to(destination, "accepts") as running:
        sender.send(destination, running, carrying(digest(names, closed=closed)))

        [text] = running.texts()
        assert ("UP: 3 applications" if closed else "DOWN: 3 applications") in text
        assert "likely a shared cause" in text
        assert "https://hc.example/" in text
        for number, name in enumerate(names):
            assert name in text
            if destination.type != "sms":
                assert f"2026-11-23 12:00:0{number} UTC" in text
                assert ("up again after 5 min" in text) == closed


@every_plugin
@pytest.mark.parametrize("topic", DigestTopic)
@pytest.mark.parametrize("count", [1, 500])
def test_a_digest_of_hostile_names_arrives_as_names(
    sender: Sender, destination: Destination, topic: DigestTopic, count: int
) -> None:
    names = (list(NAMES.values()) * 30)[:count]
    with sender.to(destination, "accepts") as running:
        sender.send(destination, running, carrying(digest(names, topic)))

        [text] = running.texts()
        assert f"{count} applications" in text
        assert "https://hc.example/" in text
        if destination.type != "webhook":
            assert not set(text) & set("\r\x00\x08\x1b\x85\u2028\u202e\ud800")


@every_plugin
def test_a_digest_that_is_too_long_says_how_many_it_left_out(
    sender: Sender, destination: Destination
) -> None:
    with sender.to(destination, "accepts") as running:
        sender.send(destination, running, carrying(digest([f"app {n}" for n in range(500)])))

        [text] = running.texts()
        named = {int(number) for number in re.findall(r"app (\d+)\b", text)}
        assert named == set(range(len(named))), "the first ones, without a gap"
        left_out = re.search(r"and (\d+) more", text)
        assert len(named) + (int(left_out[1]) if left_out else 0) == 500
        if destination.type in ("email", "webhook"):
            assert left_out is None


@every_plugin
def test_what_goes_out_late_says_what_has_changed(sender: Sender, destination: Destination) -> None:
    late = replace(digest(["Backup"]), note="It is up again since.")
    for what in (replace(envelope().alert, note="It is up again since."), late):
        with sender.to(destination, "accepts") as running:
            sender.send(destination, running, carrying(what))
            assert "It is up again since." in running.texts()[0]


@every_plugin
@pytest.mark.parametrize("name", ["Größe", "夜間バックアップ", "Резервная копия", "גיבוי לילה"])
def test_a_name_in_any_script_arrives_as_it_is(
    sender: Sender, destination: Destination, name: str
) -> None:
    with sender.to(destination, "accepts") as running:
        sender.send(destination, running, envelope(name))
        [text] = running.texts()
        assert name in text


def test_a_send_may_take_ten_seconds_in_all(client: HttpClient) -> None:
    assert Outbound(http=client, operator_http=client).timeout == 10.0


@every_plugin
def test_a_private_target_is_refused_unless_the_operator_set_it(
    sender: Sender, destination: Destination, outbound: Outbound, certificates: Certificates
) -> None:
    guarded = replace(outbound, http=HttpClient(allow_private=False), allow_private_targets=False)
    with destination.behaving("accepts", guarded, certificates) as running:
        if destination.target_is_the_operators:
            sender.send(destination, running, envelope())
            assert len(running.texts()) == 1
            return
        with pytest.raises(PermanentFailure, match="HEARTBEAT_ALLOW_PRIVATE_TARGETS") as caught:
            sender.send(destination, running, envelope())
        assert "127.0.0.1" in str(caught.value)
        assert running.texts() == []


@every_plugin
def test_the_configuration_survives_being_stored_shown_and_sent_back(
    registry: Registry, destination: Destination, outbound: Outbound, certificates: Certificates
) -> None:
    plugin = registry.get(destination.type)
    with destination.behaving("accepts", outbound, certificates) as running:
        config = plugin_config.validate(plugin, running.config)

    stored = plugin_config.dump(plugin, config)
    shown = plugin_config.masked(plugin, stored)
    assert stored == running.config
    assert TOKEN in str(stored)
    assert TOKEN not in str({key: value for key, value in shown.items() if key != "url"})
    assert TOKEN not in repr(config).replace(str(running.config.get("url")), "")
    assert plugin_config.masked(plugin, config) == shown
    assert plugin_config.merge_masked(plugin, shown, stored) == stored


@every_plugin
def test_the_schema_draws_a_form(registry: Registry, destination: Destination) -> None:
    schema = plugin_config.json_schema(registry.get(destination.type))

    assert schema["additionalProperties"] is False
    inputs = schema["properties"]
    assert [spec["x-order"] for spec in inputs.values()] == list(range(len(inputs)))
    for name, spec in inputs.items():
        assert spec["title"], name
        assert spec["description"], name
        assert spec["type"] in ("string", "integer", "object"), name


def assert_safe(message: str) -> None:
    """A message is one line of a decent length, says something and holds no secret."""
    assert TOKEN not in message
    assert 10 < len(message) < 600
    assert message.isprintable()

"""Slack and Discord: what is posted keeps to the limits they document, and mentions nobody."""

import json
import re
from dataclasses import replace
from typing import Any

import pytest

from heartbeat_central.alerts import config as plugin_config
from heartbeat_central.alerts.discord.plugin import DiscordPlugin
from heartbeat_central.alerts.http import HttpRequest
from heartbeat_central.alerts.slack.plugin import SlackPlugin
from heartbeat_central.domain.alert import AlertKind, Envelope
from heartbeat_central.domain.errors import Invalid
from tests.support.sample_alerts import HOSTILE_NAMES, carrying, digest, envelope

HOOK = {"webhook_url": "https://chat.example/hook/token"}


def huge(letter: str) -> Envelope:
    """Return an alert whose name, tags and link are all far too long."""
    usual = envelope(letter * 10_000)
    application = usual.alert.application
    assert application is not None
    return replace(
        usual,
        alert=replace(
            usual.alert,
            application=replace(application, tags=(letter * 100,) * 100),
            dashboard_url=f"https://hc.example/{'a' * 3000}",
        ),
    )


EVERY_ALERT = [pytest.param(envelope(name), id=id_) for id_, name in HOSTILE_NAMES.items()] + [
    pytest.param(envelope(kind=AlertKind.UP), id="recovery"),
    pytest.param(envelope(kind=AlertKind.TEST), id="test"),
    pytest.param(huge("x"), id="huge"),
    pytest.param(huge("*"), id="huge, all escaped"),
    pytest.param(huge("&"), id="huge, all entities"),
    pytest.param(huge("🔥"), id="huge, two units each"),
    pytest.param(carrying(digest(list(HOSTILE_NAMES.values()))), id="digest"),
    pytest.param(carrying(digest(["*" * 10_000] * 500)), id="long digest, all escaped"),
    pytest.param(carrying(digest(["&" * 10_000] * 500)), id="long digest, all entities"),
    pytest.param(carrying(digest(["🔥" * 10_000] * 500)), id="long digest, two units each"),
    pytest.param(
        replace(huge("*"), alert=replace(digest(["x"] * 500), note="*" * 10_000)),
        id="digest with a long note",
    ),
]


def slack(what: Envelope, **config: Any) -> dict[str, Any]:
    plugin = SlackPlugin()
    return payload(plugin.build(what, plugin_config.validate(plugin, {**HOOK, **config})))


def discord(what: Envelope, **config: Any) -> dict[str, Any]:
    plugin = DiscordPlugin()
    return payload(plugin.build(what, plugin_config.validate(plugin, {**HOOK, **config})))


def payload(request: HttpRequest) -> dict[str, Any]:
    assert request.method == "POST"
    assert request.headers["Content-Type"] == "application/json"
    read: dict[str, Any] = json.loads(request.body)
    return read


def units(text: str) -> int:
    """Return the length as JavaScript counts it, the most that any service can mean."""
    return len(text.encode("utf-16-le")) // 2


class TestSlack:
    @pytest.mark.parametrize("what", EVERY_ALERT)
    def test_keeps_to_the_limits(self, what: Envelope) -> None:
        # https://docs.slack.dev/reference/methods/chat.postMessage: text is truncated past 40,000
        # characters, and a message has at most 100 attachments.
        message = slack(what)
        [attachment] = message["attachments"]
        texts = [message["text"], attachment["text"], attachment["fallback"]]
        texts += [field[part] for field in attachment["fields"] for part in ("title", "value")]
        assert 0 < units(message["text"]) <= 40_000
        assert all(units(text) <= 40_000 for text in texts)
        assert len(json.dumps(message)) < 150_000

    @pytest.mark.parametrize("what", EVERY_ALERT)
    def test_leaves_nothing_that_slack_would_read_as_a_mention_or_a_hidden_link(
        self, what: Envelope
    ) -> None:
        # https://docs.slack.dev/messaging/formatting-message-text#escaping
        message = slack(what)
        [attachment] = message["attachments"]
        assert message["mrkdwn"] is False
        assert attachment["mrkdwn_in"] == []
        texts = [message["text"], attachment["text"], attachment["fallback"]]
        texts += [field["value"] for field in attachment["fields"]]
        for text in texts:
            assert not set("<>") & set(text)
            assert re.fullmatch(r"[^&]*(&(amp|lt|gt);[^&]*)*", text)
        assert "link_names" not in message
        assert "parse" not in message

    def test_posts_under_the_name_and_in_the_channel_that_were_chosen(self) -> None:
        message = slack(envelope(), channel="#ops", username="Night watch")
        assert (message["channel"], message["username"]) == ("#ops", "Night watch")
        assert not {"channel", "username"} & slack(envelope()).keys()


class TestDiscord:
    @pytest.mark.parametrize("what", EVERY_ALERT)
    def test_keeps_to_the_limits(self, what: Envelope) -> None:
        # https://docs.discord.com/developers/resources/message#embed-object-embed-limits
        message = discord(what, username="Heartbeat Central")
        assert units(message.get("content", "")) <= 2000
        [embed] = message["embeds"]
        assert 1 <= units(embed["title"]) <= 256
        assert 1 <= units(embed["description"]) <= 4096
        assert len(embed["fields"]) <= 25
        for field in embed["fields"]:
            assert 1 <= units(field["name"]) <= 256
            assert 1 <= units(field["value"]) <= 1024
        parts = [embed["title"], embed["description"]]
        parts += [field[part] for field in embed["fields"] for part in ("name", "value")]
        assert sum(map(units, parts)) <= 6000
        assert 0 <= embed["color"] <= 0xFFFFFF
        assert 1 <= units(message["username"]) <= 80

    @pytest.mark.parametrize("what", EVERY_ALERT)
    def test_mentions_nobody_and_formats_nothing(self, what: Envelope) -> None:
        message = discord(what)
        assert message["allowed_mentions"] == {"parse": []}
        [embed] = message["embeds"]
        parts = [embed["title"], embed["description"]]
        parts += [field["value"] for field in embed["fields"]]
        for text in parts:
            if text.startswith("https://hc.example/"):
                continue
            # Each character of markup stands behind an odd number of backslashes.
            rest = re.sub(r"\\.", "", text)
            assert not set("\\*_~`|<>@[]") & set(rest), text
            assert "://" not in rest

    @pytest.mark.parametrize("name", ["Clyde", "my discord", "a@b", "```", "#ops", "Here"])
    def test_a_name_that_discord_refuses_is_refused_at_once(self, name: str) -> None:
        with pytest.raises(Invalid, match="Discord refuses"):
            discord(envelope(), username=name)

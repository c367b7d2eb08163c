"""SMS: the request as Twilio documents it, and the length that is paid for."""

import base64
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs

import pytest

from heartbeat_central.alerts import config as plugin_config
from heartbeat_central.alerts.base import Outbound, TwilioDefaults
from heartbeat_central.alerts.sms.message import build_text
from heartbeat_central.alerts.sms.plugin import SmsPlugin
from heartbeat_central.domain.errors import PermanentFailure, TemporaryFailure
from tests.support.receivers.http import HttpReceiver, Received, respond
from tests.support.sample_alerts import HOSTILE_NAMES, digest, envelope

SID = "AC0123456789abcdef0123456789abcdef"
SERVICE = "MG0123456789abcdef0123456789abcdef"
OWN: dict[str, Any] = {"account_sid": SID, "auth_token": "t0k:en", "from_number": "+15557654321"}


def send(
    receiver: HttpReceiver,
    outbound: Outbound,
    name: str = "Nightly backup",
    defaults: TwilioDefaults | None = None,
    **config: Any,
) -> str:
    plugin = SmsPlugin()
    twilio = replace(defaults or TwilioDefaults(), api_url=receiver.url)
    read = plugin_config.validate(plugin, {"to_number": "+1 (555) 123-4567", **config})
    return plugin.send(envelope(name), read, replace(outbound, twilio=twilio))


def form(request: Received) -> dict[str, str]:
    read = parse_qs(request.body.decode("ascii"), strict_parsing=True)
    assert all(len(values) == 1 for values in read.values())
    return {name: value for name, [value] in read.items()}


def credentials(request: Received) -> str:
    scheme, _, token = request.headers["authorization"].partition(" ")
    assert scheme == "Basic"
    return base64.b64decode(token, validate=True).decode()


def test_posts_the_documented_form_with_basic_auth(
    receiver: HttpReceiver, outbound: Outbound
) -> None:
    # https://www.twilio.com/docs/messaging/api/message-resource#create-a-message-resource
    receiver.answer = respond(201, b'{"sid":"SM1","status":"queued"}')
    assert send(receiver, outbound, **OWN) == "queued by Twilio"

    [request] = receiver.requests
    assert (request.method, request.target) == (
        "POST",
        f"/2010-04-01/Accounts/{SID}/Messages.json",
    )
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    assert credentials(request) == f"{SID}:t0k:en"
    assert form(request) == {
        "To": "+15551234567",
        "From": "+15557654321",
        "Body": (
            "DOWN: Nightly backup missed its heartbeat. Down since 2026-11-23 12:00:00 UTC. "
            "Last heartbeat: 2026-11-23 12:00:00 UTC.\nhttps://hc.example/applications/7"
        ),
    }


def test_a_messaging_service_takes_the_place_of_a_number(
    receiver: HttpReceiver, outbound: Outbound
) -> None:
    send(receiver, outbound, **{**OWN, "from_number": SERVICE})
    sent = form(receiver.requests[0])
    assert sent["MessagingServiceSid"] == SERVICE
    assert "From" not in sent


def test_the_operators_account_is_used_when_the_channel_has_none(
    receiver: HttpReceiver, outbound: Outbound
) -> None:
    defaults = TwilioDefaults(
        account_sid="ACoperator", auth_token="operator-token", from_number="+15550001111"
    )
    send(receiver, outbound, defaults=defaults)
    [request] = receiver.requests
    assert credentials(request) == "ACoperator:operator-token"
    assert form(request)["From"] == "+15550001111"


def test_without_any_account_it_says_what_to_set(
    receiver: HttpReceiver, outbound: Outbound
) -> None:
    with pytest.raises(PermanentFailure, match="TWILIO_ACCOUNT_SID"):
        send(receiver, outbound)
    assert receiver.requests == []


@pytest.mark.parametrize("name", HOSTILE_NAMES.values(), ids=HOSTILE_NAMES)
def test_a_hostile_name_adds_no_field_and_no_third_part(
    receiver: HttpReceiver, outbound: Outbound, name: str
) -> None:
    send(receiver, outbound, name, **OWN)
    sent = form(receiver.requests[0])
    assert sent.keys() == {"To", "From", "Body"}
    assert sent["To"] == "+15551234567"
    body = sent["Body"]
    assert body.endswith("\nhttps://hc.example/applications/7")
    assert len(body.encode("utf-16-le")) // 2 <= (306 if body.isascii() else 134)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (
            ["Nightly backup", "Web", "Mail"],
            "3 applications went down within 60 s: likely a shared cause. Nightly backup, Web, Mail\n",
        ),
        # A name that would halve the room is counted, where more can be named without it.
        (["Backup", "Копия"], "likely a shared cause: Backup, Копия\n"),
        (["Копия", *(f"backup-of-host-{n}" for n in range(7))], "backup-of-host-6 and 1 more\n"),
        (["Копия", "Почта", "Web"], "likely a shared cause: Копия, Почта, Web\n"),
        (["x" * 5000, "Web"], f"{'x' * 27}..., Web\n"),
        (["🔥", "Web"], "Web and 1 more\n"),
    ],
)
def test_a_digest_names_as_many_applications_as_fit(names: list[str], words: str) -> None:
    body = build_text(digest(names))
    assert words in body
    assert len(body.encode("utf-16-le")) // 2 <= (306 if body.isascii() else 134)


@pytest.mark.parametrize("link", ["https://hc.example/", f"https://hc.example/{'a' * 280}"])
@pytest.mark.parametrize("name", HOSTILE_NAMES.values(), ids=HOSTILE_NAMES)
def test_a_digest_of_hostile_names_has_no_third_part(name: str, link: str) -> None:
    body = build_text(replace(digest([name] * 500), dashboard_url=link))
    assert body.startswith("DOWN: 500")
    assert len(body.encode("utf-16-le")) // 2 <= (306 if body.isascii() else 134)


@pytest.mark.parametrize(
    ("answer", "failure", "words"),
    [
        (respond(400, b'{"code":21211,"message":"no"}'), PermanentFailure, "check the number"),
        (respond(400, b'{"code":21610,"message":"no"}'), PermanentFailure, "answered STOP"),
        (respond(401, b'{"code":20003,"message":"no"}'), PermanentFailure, "auth token"),
        (respond(400, b'{"code":21611,"message":"no"}'), TemporaryFailure, "queue is full"),
        (respond(429, b'{"code":20429,"message":"no"}'), TemporaryFailure, "too many requests"),
    ],
)
def test_twilios_codes_decide(
    receiver: HttpReceiver,
    outbound: Outbound,
    answer: Any,
    failure: type[Exception],
    words: str,
) -> None:
    receiver.answer = answer
    with pytest.raises(failure, match=words):
        send(receiver, outbound, **OWN)

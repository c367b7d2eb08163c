"""The webhook's body and its signature, checked by code that is not the plugin's."""

import base64
import hashlib
import hmac
import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import time_machine
from standardwebhooks import Webhook, WebhookVerificationError

from heartbeat_central.alerts import config as plugin_config
from heartbeat_central.alerts.base import Outbound
from heartbeat_central.alerts.webhook.plugin import WebhookPlugin
from heartbeat_central.alerts.webhook.signature import signed_headers
from heartbeat_central.domain.alert import AlertKind, Envelope
from heartbeat_central.domain.digest import DigestTopic
from heartbeat_central.domain.errors import Invalid
from tests.support.receivers.http import HttpReceiver, Received
from tests.support.sample_alerts import DELIVERY_ID, NOON, carrying, digest, envelope

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
PAGE = (Path(__file__).parents[2] / "docs/reference/alert-plugins.md").read_text("utf-8")


def documented_verify() -> Any:
    """Return the function that the reference tells people to copy."""
    [code] = re.findall(r"^```python\n(.*?)^```", PAGE, flags=re.M | re.S)
    names: dict[str, Any] = {}
    exec(code, names)
    return names["verify"]


def post(
    receiver: HttpReceiver, outbound: Outbound, what: Envelope | None = None, **config: Any
) -> Received:
    plugin = WebhookPlugin()
    read = plugin_config.validate(plugin, {"url": f"{receiver.url}/hook", **config})
    plugin.send(what or envelope(), read, outbound)
    return receiver.requests[-1]


def test_the_published_example_of_a_signature() -> None:
    """The message, secret and signature of the specification's reference libraries' tests."""
    headers = signed_headers(
        secret=SECRET,
        message_id="msg_p5jXN8AQM9LWM0D4loKWxJek",
        at=datetime.fromtimestamp(1614265330, UTC),
        body=b'{"test": 2432232314}',
    )
    assert headers == {
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_what_arrives_is_signed_by_the_published_algorithm(
    receiver: HttpReceiver, outbound: Outbound
) -> None:
    """standardwebhooks.com: base64(HMAC-SHA256(key, "{id}.{timestamp}.{body}")), prefixed `v1,`."""
    request = post(receiver, outbound, secret=SECRET)
    headers = request.headers
    content = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + request.body
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    expected = base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    assert headers["webhook-timestamp"] == str(int(NOON.timestamp()))


@pytest.mark.parametrize("secret", [SECRET, "any words, even Größe"])
def test_the_published_library_accepts_what_arrives_and_nothing_else(
    receiver: HttpReceiver, outbound: Outbound, secret: str
) -> None:
    request = post(receiver, outbound, secret=secret)
    headers = dict(request.headers)
    verifier = Webhook(secret if secret == SECRET else secret.encode())
    with time_machine.travel(NOON):
        verifier.verify(request.body.decode(), headers)
        with pytest.raises(WebhookVerificationError):
            verifier.verify(request.body.decode() + " ", headers)
        with pytest.raises(WebhookVerificationError):
            Webhook(b"another").verify(request.body.decode(), headers)


@pytest.mark.parametrize("secret", [SECRET, "any words, even Größe"])
def test_the_sample_in_the_reference_accepts_what_arrives_and_nothing_else(
    receiver: HttpReceiver, outbound: Outbound, secret: str
) -> None:
    verify = documented_verify()
    request = post(receiver, outbound, secret=secret)
    headers = dict(request.headers)
    with time_machine.travel(NOON):
        verify(secret, headers, request.body)
        with pytest.raises(ValueError, match="signature is wrong"):
            verify(secret, headers, request.body + b" ")
        with pytest.raises(ValueError, match="signature is wrong"):
            verify("another", headers, request.body)
        with pytest.raises(ValueError, match="signature is wrong"):
            verify(secret, {**headers, "webhook-id": "another"}, request.body)
    with time_machine.travel(NOON.replace(hour=13)), pytest.raises(ValueError, match="too old"):
        verify(secret, headers, request.body)


def test_every_attempt_has_the_same_id_and_body(receiver: HttpReceiver, outbound: Outbound) -> None:
    first = post(receiver, outbound, secret=SECRET)
    later = replace(envelope(attempt=2), sent_at=NOON.replace(minute=7))
    second = post(receiver, outbound, later, secret=SECRET)
    assert first.body == second.body
    for name in ("webhook-id", "idempotency-key"):
        assert first.headers[name] == second.headers[name] == str(DELIVERY_ID)
    assert first.headers["webhook-timestamp"] != second.headers["webhook-timestamp"]


@pytest.mark.parametrize("kind", [AlertKind.DOWN, AlertKind.UP, AlertKind.TEST])
def test_the_body_holds_what_the_reference_lists(
    receiver: HttpReceiver, outbound: Outbound, kind: AlertKind
) -> None:
    body = json.loads(post(receiver, outbound, envelope(kind=kind)).body)
    assert list(body) == ["event", "application", "incident", "delivery_id", "text"]
    assert body["event"] == kind.value
    section = PAGE[PAGE.index("The body:") : PAGE.index("### Verifying")]
    for key in [*body, *(body["incident"] or {})]:
        assert f"`{key}`" in section, key
    if kind is AlertKind.TEST:
        assert body["application"] is None
        assert body["incident"] is None


def test_a_digest_holds_lists_instead_of_one(receiver: HttpReceiver, outbound: Outbound) -> None:
    body = json.loads(post(receiver, outbound, carrying(digest(["Mail", "Shop"]))).body)
    assert body["event"] == "digest"
    assert body["topic"] == "storm"
    assert body["application"] is None
    assert body["incident"] is None
    assert [one["name"] for one in body["applications"]] == ["Mail", "Shop"]
    assert [one["application_id"] for one in body["incidents"]] == [7, 8]
    full = json.loads(post(receiver, outbound).body)
    assert body["incidents"][0].keys() == full["incident"].keys()
    assert body["applications"][0].keys() <= full["application"].keys()
    section = PAGE[PAGE.index("The body:") : PAGE.index("### Verifying")]
    for key in [*body, *body["applications"][0], *DigestTopic]:
        assert f"`{key}`" in section, key


def test_sends_the_headers_that_were_asked_for(receiver: HttpReceiver, outbound: Outbound) -> None:
    request = post(receiver, outbound, headers={"Authorization": "Bearer x", "X-Team": "7"})
    assert request.headers["authorization"] == "Bearer x"
    assert request.headers["x-team"] == "7"
    assert "webhook-signature" not in request.headers


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Team": "7\r\nX-Evil: 1"},
        {"X-Team\r\nX-Evil": "1"},
        {"Host": "evil.example"},
        {"Content-Length": "0"},
        {"Webhook-Signature": "v1,forged"},
        {"X-Team": "Größe"},
        {"X-Team": "1", "x-team": "2"},
    ],
)
def test_headers_that_would_break_the_request_are_refused(headers: dict[str, str]) -> None:
    with pytest.raises(Invalid):
        plugin_config.validate(WebhookPlugin(), {"url": "https://example.com/", "headers": headers})


@pytest.mark.parametrize("secret", ["whsec_", "whsec_***", "whsec_AAA"])
def test_a_secret_that_no_library_could_read_is_refused(secret: str) -> None:
    with pytest.raises(Invalid, match="base64"):
        plugin_config.validate(WebhookPlugin(), {"url": "https://example.com/", "secret": secret})

"""Alerts as JSON to any URL, signed when there is a secret."""

import json
import re
from typing import Annotated, Any

from pydantic import AfterValidator, Field, SecretStr

from heartbeat_central.alerts.base import AlertPlugin, Outbound, PluginConfig
from heartbeat_central.alerts.fields import HttpUrl
from heartbeat_central.alerts.http import HttpRequest
from heartbeat_central.alerts.outcome import hand_over
from heartbeat_central.alerts.webhook.signature import key_of, signed_headers
from heartbeat_central.alerts.words import clean
from heartbeat_central.domain.alert import Envelope, text
from heartbeat_central.domain.digest import Digest
from heartbeat_central.domain.view import incident_json

MOST_HEADERS = 50
LONGEST_HEADER = 4096
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")
_OURS = frozenset(
    {
        "connection",
        "content-length",
        "content-type",
        "expect",
        "host",
        "idempotency-key",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)


def _signing_secret(secret: SecretStr) -> SecretStr:
    key_of(secret.get_secret_value())
    return secret


def _header_name(name: str) -> str:
    if not _TOKEN.fullmatch(name):
        raise ValueError("is not a header name like `X-Api-Key`")
    if name.lower() in _OURS or name.lower().startswith("webhook-"):
        raise ValueError("is set by Heartbeat Central itself")
    return name


def _header_value(value: SecretStr) -> SecretStr:
    text = value.get_secret_value()
    if len(text) > LONGEST_HEADER or not re.fullmatch(r"[\t\x20-\x7e]*", text):
        raise ValueError(f"must be at most {LONGEST_HEADER} ASCII characters on a single line")
    return value


def _distinct(headers: dict[str, SecretStr]) -> dict[str, SecretStr]:
    if len({name.lower() for name in headers}) < len(headers):
        raise ValueError("must not hold the same header twice")
    return headers


class WebhookConfig(PluginConfig):
    """Where to post, and what to prove it with."""

    url: HttpUrl = Field(
        title="URL",
        description="Where the alert is posted as JSON.",
        examples=["https://example.com/hooks/heartbeat"],
        max_length=2000,
    )
    secret: Annotated[SecretStr, AfterValidator(_signing_secret)] | None = Field(
        default=None,
        title="Signing secret",
        description=(
            "Signs each request as Standard Webhooks does: `whsec_` and base64, or any text, whose "
            "UTF-8 bytes are then the key."
        ),
        examples=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
        max_length=1000,
    )
    headers: Annotated[
        dict[
            Annotated[str, AfterValidator(_header_name)],
            Annotated[SecretStr, AfterValidator(_header_value)],
        ],
        AfterValidator(_distinct),
    ] = Field(
        default={},
        title="Headers",
        description="Sent with each request, such as `Authorization`. The values are kept secret.",
        examples=[{"Authorization": "Bearer 3f6c…"}],
        max_length=MOST_HEADERS,
    )


class WebhookPlugin(AlertPlugin[WebhookConfig]):
    """See README.md for the body and docs/reference/alert-plugins.md for verifying a signature."""

    type = "webhook"
    label = "Webhook"
    summary = "Posts the alert as JSON to a URL of yours, signed when you set a secret."
    Config = WebhookConfig

    def build(self, envelope: Envelope, config: WebhookConfig) -> HttpRequest:
        """Return the request. The same delivery has the same id at every attempt, and the same body
        unless there is something new to say, such as that it comes late."""
        alert, message_id = envelope.alert, str(envelope.delivery_id)
        content = {
            "event": alert.kind.value,
            "application": alert.application.as_json() if alert.application else None,
            "incident": incident_json(alert.incident) if alert.incident else None,
            "delivery_id": message_id,
            "text": clean(text(alert)),
        }
        if alert.digest is not None:
            content |= _lists(alert.digest)
        body = json.dumps(content).encode()
        headers = {name: value.get_secret_value() for name, value in config.headers.items()}
        headers |= {
            "Content-Type": "application/json",
            "Idempotency-Key": message_id,
            "webhook-id": message_id,
            "webhook-timestamp": str(int(envelope.sent_at.timestamp())),
        }
        if config.secret is not None:
            headers |= signed_headers(
                secret=config.secret.get_secret_value(),
                message_id=message_id,
                at=envelope.sent_at,
                body=body,
            )
        return HttpRequest(url=config.url, headers=headers, body=body)

    def send(self, envelope: Envelope, config: WebhookConfig, outbound: Outbound) -> str:
        """Post it; any 2xx is delivered."""
        return hand_over(
            outbound.http,
            self.build(envelope, config),
            now=envelope.sent_at,
            timeout=outbound.timeout,
        )


def _lists(digest: Digest) -> dict[str, Any]:
    """Return what a digest has instead of one application and one incident."""
    return {
        "topic": digest.topic.value,
        "title": digest.title,
        "applications": [application.as_json() for application in digest.applications()],
        "incidents": [incident_json(incident) for incident in digest.incidents()],
    }

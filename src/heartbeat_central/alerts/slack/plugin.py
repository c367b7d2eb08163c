"""Alerts to Slack, or to anything that takes Slack's incoming webhooks."""

import json
import re
from typing import Any

from pydantic import Field

from heartbeat_central.alerts.base import AlertPlugin, Outbound, PluginConfig
from heartbeat_central.alerts.fields import SecretHttpUrl
from heartbeat_central.alerts.http import HttpRequest
from heartbeat_central.alerts.outcome import Rule, Verdict, hand_over
from heartbeat_central.alerts.words import cut, listed, one_line
from heartbeat_central.domain.alert import (
    Alert,
    Envelope,
    Fact,
    Tone,
    facts,
    rows,
    subject,
    summary,
    tone,
)

LONGEST = 3000
"""Of one text; more is cut by Slack in ways of its own."""
LONGEST_ROW = 200
"""Of the list of a digest."""
_COLOURS = {Tone.ALARM: "#b02a37", Tone.ALL_CLEAR: "#146c43", Tone.NEUTRAL: "#495057"}

# https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks, "Handling errors"
RULES = (
    Rule(
        contains="channel_is_archived",
        verdict=Verdict.PERMANENT,
        hint="the Slack channel is archived; choose another",
    ),
    Rule(
        contains="channel_not_found",
        verdict=Verdict.PERMANENT,
        hint="there is no such Slack channel, or the webhook may not post there",
    ),
    Rule(
        contains="action_prohibited",
        verdict=Verdict.PERMANENT,
        hint="a Slack administrator forbids it",
    ),
    Rule(
        contains="no_service",
        verdict=Verdict.PERMANENT,
        hint="the webhook was removed or disabled; make a new one",
    ),
    Rule(
        contains="no_team",
        verdict=Verdict.PERMANENT,
        hint="the Slack workspace is gone or suspended",
    ),
    Rule(
        contains="invalid_token",
        verdict=Verdict.PERMANENT,
        hint="the webhook URL is wrong or was revoked; make a new one",
    ),
)


class SlackConfig(PluginConfig):
    """Where to post, and as whom."""

    webhook_url: SecretHttpUrl = Field(
        title="Webhook URL",
        description="Made in Slack under Apps, Incoming Webhooks.",
        examples=["https://hooks.slack.com/services/T…/B…/…"],
        max_length=2000,
    )
    channel: str | None = Field(
        default=None,
        title="Channel",
        description="Only older webhooks may post to a channel other than their own.",
        examples=["#ops"],
        max_length=80,
    )
    username: str | None = Field(
        default=None,
        title="Shown name",
        description="Only older webhooks may choose it.",
        examples=["Heartbeat Central"],
        max_length=80,
    )


class SlackPlugin(AlertPlugin[SlackConfig]):
    """Posts one attachment with a coloured edge. Nothing in it is read as markup."""

    type = "slack"
    label = "Slack"
    summary = "Posts to a Slack channel through an incoming webhook."
    Config = SlackConfig

    def build(self, envelope: Envelope, config: SlackConfig) -> HttpRequest:
        """Return the request.

        Attachments rather than blocks: Mattermost and Rocket.Chat read them too. Without
        `mrkdwn_in` their texts are plain, and `mrkdwn` is off for the line above.
        """
        alert = envelope.alert
        payload: dict[str, Any] = {
            "text": _plain(subject(alert)),
            "mrkdwn": False,
            "attachments": [
                {
                    "color": _COLOURS[tone(alert)],
                    "fallback": _plain(summary(alert)),
                    "text": _text(alert),
                    "mrkdwn_in": [],
                    "fields": [_field(fact, alert.dashboard_url) for fact in facts(alert)],
                    "ts": int(alert.created_at.timestamp()),
                }
            ],
        }
        if config.channel:
            payload["channel"] = one_line(config.channel)
        if config.username:
            payload["username"] = one_line(config.username)
        return HttpRequest(
            url=config.webhook_url.get_secret_value(),
            headers={"Content-Type": "application/json"},
            body=json.dumps(payload).encode(),
        )

    def send(self, envelope: Envelope, config: SlackConfig, outbound: Outbound) -> str:
        """Post it; Slack answers `ok`."""
        return hand_over(
            outbound.http,
            self.build(envelope, config),
            now=envelope.sent_at,
            timeout=outbound.timeout,
            rules=RULES,
        )


def _text(alert: Alert) -> str:
    sentence = _plain(summary(alert))
    lines = (_plain(f"{row.label}: {row.value}", LONGEST_ROW) for row in rows(alert))
    return "\n".join([sentence, *listed(lines, LONGEST - len(sentence))])


def _field(fact: Fact, link: str) -> dict[str, Any]:
    # Two short ones share a line; the link stands alone, so that a thumb finds it.
    short = len(fact.value) < 40 and fact.value != link
    return {"title": fact.label, "value": _plain(fact.value), "short": short}


def _plain(words: str, longest: int = LONGEST) -> str:
    """Escape as Slack asks: with no `<` left there are no mentions and no hidden links.

    https://docs.slack.dev/messaging/formatting-message-text#escaping
    """
    entities = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
    return re.sub("[&<>]", lambda match: entities[match[0]], cut(one_line(words), longest))

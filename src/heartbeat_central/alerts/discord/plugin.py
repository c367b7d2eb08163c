"""Alerts to a Discord channel."""

import json
import re
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from heartbeat_central.alerts.base import AlertPlugin, Outbound, PluginConfig
from heartbeat_central.alerts.fields import SecretHttpUrl
from heartbeat_central.alerts.http import HttpRequest
from heartbeat_central.alerts.outcome import Rule, Verdict, hand_over
from heartbeat_central.alerts.words import cut, listed, one_line
from heartbeat_central.domain import moment
from heartbeat_central.domain.alert import (
    Alert,
    Envelope,
    Tone,
    facts,
    rows,
    subject,
    summary,
    tone,
)

# https://discord.com/developers/docs/resources/message#embed-object-embed-limits
LONGEST_TITLE = 256
LONGEST_DESCRIPTION = 1500
"""Discord takes 4,096, and 6,000 in all parts of an embed together."""
LONGEST_VALUE = 1024
LONGEST_LIST = 2400
"""Of a digest: with title, sentence, note and link still under 6,000."""
LONGEST_ROW = 200
_COLOURS = {Tone.ALARM: 0xB02A37, Tone.ALL_CLEAR: 0x146C43, Tone.NEUTRAL: 0x495057}

# https://discord.com/developers/docs/topics/opcodes-and-status-codes#json
RULES = (
    Rule(
        status=404,
        code=10015,
        verdict=Verdict.PERMANENT,
        hint="the webhook was deleted; make a new one",
    ),
    Rule(
        status=401,
        code=50027,
        verdict=Verdict.PERMANENT,
        hint="the webhook URL is wrong or was revoked",
    ),
    Rule(
        code=30046,
        verdict=Verdict.TEMPORARY,
    ),
    # Cloudflare, in front of Discord, says so with status 403 or 429 and no JSON.
    Rule(
        contains="error code: 1015",
        verdict=Verdict.TEMPORARY,
        hint="too many requests from this address",
    ),
)
_MARKUP = re.compile(r"[\\*_~`|<>\[\]@]|^[#-]|:(?=//)")
"""Emphasis, code, spoilers, mentions, links (by their `://`); headings and lists at the beginning."""


def _name(name: str) -> str:
    # https://discord.com/developers/docs/resources/user#usernames-and-nicknames
    for word in ("clyde", "discord", "```", "@", "#", ":"):
        if word in name.lower():
            raise ValueError(f"must not contain `{word}`: Discord refuses such names")
    if name.lower() in ("everyone", "here", "system message"):
        raise ValueError(f"must not be `{name}`: Discord refuses that name")
    return name


class DiscordConfig(PluginConfig):
    """Where to post, and as whom."""

    webhook_url: SecretHttpUrl = Field(
        title="Webhook URL",
        description="Made in Discord in the channel's settings, Integrations, Webhooks.",
        examples=["https://discord.com/api/webhooks/123/…"],
        max_length=2000,
    )
    username: Annotated[str, AfterValidator(_name)] | None = Field(
        default=None,
        title="Shown name",
        description="Empty: the name of the webhook.",
        examples=["Heartbeat Central"],
        max_length=80,
    )


class DiscordPlugin(AlertPlugin[DiscordConfig]):
    """Posts one embed. It mentions nobody, whatever an application is called."""

    type = "discord"
    label = "Discord"
    summary = "Posts to a Discord channel through its webhook."
    Config = DiscordConfig

    def build(self, envelope: Envelope, config: DiscordConfig) -> HttpRequest:
        """Return the request; `wait=true` makes Discord answer only when the message is stored."""
        alert = envelope.alert
        payload: dict[str, Any] = {
            "embeds": [
                {
                    "title": _plain(subject(alert), LONGEST_TITLE),
                    "description": _description(alert),
                    "color": _COLOURS[tone(alert)],
                    "timestamp": moment.isoformat(alert.created_at),
                    "fields": [
                        {
                            "name": fact.label,
                            "value": _value(fact.value, alert.dashboard_url),
                            "inline": len(fact.value) < 40 and fact.value != alert.dashboard_url,
                        }
                        for fact in facts(alert)
                    ],
                }
            ],
            "allowed_mentions": {"parse": []},
        }
        if config.username:
            payload["username"] = one_line(config.username)
        return HttpRequest(
            url=_waiting(config.webhook_url.get_secret_value()),
            headers={"Content-Type": "application/json"},
            body=json.dumps(payload).encode(),
        )

    def send(self, envelope: Envelope, config: DiscordConfig, outbound: Outbound) -> str:
        """Post it."""
        hand_over(
            outbound.http,
            self.build(envelope, config),
            now=envelope.sent_at,
            timeout=outbound.timeout,
            rules=RULES,
        )
        # The answer repeats the whole message, which nobody needs to read again.
        return "stored by Discord"


def _description(alert: Alert) -> str:
    lines = (_plain(f"{row.label}: {row.value}", LONGEST_ROW) for row in rows(alert))
    return "\n".join([_plain(summary(alert), LONGEST_DESCRIPTION), *listed(lines, LONGEST_LIST)])


def _value(words: str, link: str) -> str:
    """Return a fact; the link to the dashboard is ours and stays one."""
    if words == link and len(words) <= LONGEST_VALUE:
        return one_line(words)
    return _plain(words, LONGEST_VALUE) or "-"


def _plain(words: str, longest: int) -> str:
    """Escape Markdown, mentions and links in `words`, in at most `longest` UTF-16 units."""
    words = one_line(words)
    room = longest
    while True:
        escaped = re.sub(_MARKUP, r"\\\g<0>", cut(words, room))
        surplus = len(cut(escaped, longest)) < len(escaped)
        if not surplus:
            return escaped
        room -= max(1, (len(escaped) - longest) // 2)


def _waiting(url: str) -> str:
    if re.search(r"[?&]wait=", url):
        return url
    bare, _, _ = url.partition("#")
    return f"{bare}{'&' if '?' in bare else '?'}wait=true"

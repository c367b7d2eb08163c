"""The e-mail itself: plain text and HTML. Pure."""

import html
import re
from collections.abc import Sequence
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import EmailPolicy
from typing import Any

from heartbeat_central.alerts.words import clean, cut, one_line
from heartbeat_central.domain.alert import (
    Envelope,
    Fact,
    Tone,
    facts,
    rows,
    subject,
    summary,
    text,
    tone,
)

LONGEST_SUBJECT = 200
_COLOURS = {Tone.ALARM: "#b02a37", Tone.ALL_CLEAR: "#146c43", Tone.NEUTRAL: "#495057"}


class _Policy(EmailPolicy):
    """SMTP's policy, but a header begins on the line of its name.

    The standard library puts a text that just doesn't fit behind `Subject:` onto a line of its own;
    readers that don't unfold well (its own parser among them) then show a space before it.
    """

    def fold_binary(self, name: str, value: Any) -> bytes:
        """Return the header as it is sent."""
        return re.sub(rb"\A([\w-]+:)\r\n ", rb"\1 ", super().fold_binary(name, value))


_POLICY = _Policy(linesep="\r\n")


def build_message(
    envelope: Envelope, *, sender: tuple[str, str], recipients: Sequence[str]
) -> EmailMessage:
    """Return the message. Every attempt makes the same one, so that a repetition can be told."""
    name, address = sender
    domain = address.rpartition("@")[2]
    message = EmailMessage(policy=_POLICY)
    message["Subject"] = cut(one_line(subject(envelope.alert)), LONGEST_SUBJECT)
    message["From"] = Address(one_line(name), addr_spec=address)
    message["To"] = [Address(addr_spec=recipient) for recipient in recipients]
    message["Date"] = envelope.alert.created_at
    message["Message-ID"] = f"<{envelope.delivery_id}@{domain}>"
    # RFC 3834: out-of-office assistants must not answer.
    message["Auto-Submitted"] = "auto-generated"
    # Quoted-printable passes every server, also those without 8BITMIME.
    message.set_content(clean(text(envelope.alert)) + "\n", cte="quoted-printable")
    message.add_alternative(_html(envelope), subtype="html", cte="quoted-printable")
    # Quoted-printable never writes `=_`, so that no text can hold the boundary.
    message.set_boundary(f"=_{envelope.delivery_id.hex}")
    return message


def _html(envelope: Envelope) -> str:
    alert = envelope.alert
    colour = _COLOURS[tone(alert)]
    lines = "\n".join(_row(fact, alert.dashboard_url) for fact in [*rows(alert), *facts(alert)])
    return f"""\
<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>{_safe(subject(alert))}</title></head>
<body style="font-family:system-ui,sans-serif;font-size:15px;color:#212529">
<p style="border-left:6px solid {colour};padding:8px 12px;font-size:17px">{_safe(summary(alert))}</p>
<table style="border-collapse:collapse">
{lines}
</table>
<p style="color:#6c757d;font-size:13px">Sent by Heartbeat Central.</p>
</body>
</html>
"""


def _row(fact: Fact, url: str) -> str:
    return (
        f'<tr><th style="text-align:left;padding:2px 16px 2px 0;font-weight:600">{_safe(fact.label)}'
        f'</th><td style="padding:2px 0">{_linked(fact.value, url)}</td></tr>'
    )


def _linked(value: str, url: str) -> str:
    if value != url or not url.startswith(("http://", "https://")):
        return _safe(value)
    return f'<a href="{_safe(url)}">{_safe(url)}</a>'


def _safe(words: str) -> str:
    return html.escape(one_line(words))

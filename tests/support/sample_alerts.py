"""Alerts to send in tests, and names that try to break out of their message."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from heartbeat_central.domain.alert import Alert, AlertKind, Envelope
from heartbeat_central.domain.digest import Digest, DigestEntry, DigestTopic, ListedApplication
from heartbeat_central.domain.incident import Incident, Reason
from heartbeat_central.domain.state import Shown
from heartbeat_central.domain.view import ApplicationView

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
APPLICATION_UUID = UUID("11111111-2222-4333-8444-555555555555")
DELIVERY_ID = UUID("99999999-8888-4777-8666-555555555555")

HOSTILE_NAMES = {
    "line breaks": "Backup\r\nBcc: victim@example.com\r\n\r\nevil",
    "bare carriage return": "Backup\rSubject: evil",
    "unicode line separators": "Backup\u2028Bcc: victim@example.com\u0085evil",
    "nul and escapes": "Back\x00up\x1b[31m\x08",
    "html": "<script>alert(1)</script><img src=x onerror=alert(1)>&amp;",
    "markdown": "**bold** _it_ `code` ~~s~~ ||spoiler|| [click](https://evil.example/) # h",
    "code fence": "```\nfence\n```",
    "backslashes": "\\*not bold\\* \\\\",
    "discord mentions": "@everyone @here <@123456789> <@&42> <#7>",
    "slack mentions": "<!channel> <!here> <!everyone> <@U123> <https://evil.example|click>",
    "smtp end of data": "Backup\r\n.\r\nMAIL FROM:<evil@example.com>",
    "very long": "x" * 5000,
    "long and escaped": "*" * 3000,
    "right to left": "גיבוי \u202egnp.exe\u202c مرحبا",
    "emoji": "🔥👩‍👩‍👧 backup 🇩🇪",
    "astral and long": "🔥" * 3000,
    "lone surrogate": "Backup \ud800 up",
    "format strings": "%s {0} ${HOME} %(name)s {{7*7}}",
    "form separators": "a&To=+15550000000&Body=evil",
    "json": '","text":"evil"}',
}


def application(name: str = "Nightly backup") -> ApplicationView:
    return ApplicationView(
        id=7,
        uuid=APPLICATION_UUID,
        name=name,
        slug="nightly-backup",
        description="",
        tags=("db", name[:50]),
        expected_interval=60,
        grace_period=5,
        expect_first_heartbeat=True,
        schedule=None,
        is_active=True,
        status=Shown.DOWN,
        last_heartbeat=NOON,
        next_expected=NOON,
        deadline=NOON,
        heartbeat_url=f"https://hc.example/heartbeat/{APPLICATION_UUID}",
        channels=(1,),
        created_at=NOON,
        updated_at=NOON,
    )


def digest(
    names: Sequence[str], topic: DigestTopic = DigestTopic.STORM, *, closed: bool = False
) -> Alert:
    """Return a digest of outages that began at noon, 1 s apart; `closed`: each took five minutes."""
    entries = []
    for number, name in enumerate(names):
        listed = replace(ListedApplication.of(application(name)), id=7 + number)
        opened_at = NOON + timedelta(seconds=number)
        incident = Incident(
            id=3 + number,
            application_id=listed.id,
            reason=Reason.MISSED,
            opened_at=opened_at,
            closed_at=opened_at + timedelta(minutes=5) if closed else None,
            last_heartbeat_at=NOON,
        )
        if closed:
            listed = replace(listed, status=Shown.UP)
        if topic is DigestTopic.NOT_WATCHED:
            problem = f"{name} is no IANA time zone"
            entries.append(DigestEntry(application=replace(listed, problem=problem)))
        elif topic is DigestTopic.BLIND_WINDOW:
            entries.append(DigestEntry(application=listed))
        else:
            entries.append(DigestEntry(application=listed, incident=incident))
    word = "UP" if closed else "DOWN"
    return Alert(
        kind=AlertKind.DIGEST,
        digest=Digest(
            topic=topic,
            title=f"{word}: {len(names)} applications, likely a shared cause",
            sentence=f"{len(names)} applications went down within 60 s: likely a shared cause.",
            entries=tuple(entries),
        ),
        dashboard_url="https://hc.example/",
        created_at=NOON,
    )


def carrying(what: Alert) -> Envelope:
    return Envelope(alert=what, delivery_id=DELIVERY_ID, sent_at=NOON)


def alert(name: str = "Nightly backup", kind: AlertKind = AlertKind.DOWN) -> Alert:
    if kind is AlertKind.TEST:
        return Alert(kind=kind, dashboard_url="https://hc.example/", created_at=NOON)
    return Alert(
        kind=kind,
        application=application(name),
        incident=Incident(
            id=3,
            application_id=7,
            reason=Reason.MISSED,
            opened_at=NOON,
            closed_at=NOON if kind is AlertKind.UP else None,
            last_heartbeat_at=NOON,
        ),
        dashboard_url="https://hc.example/applications/7",
        created_at=NOON,
    )


def envelope(
    name: str = "Nightly backup", kind: AlertKind = AlertKind.DOWN, *, attempt: int = 1
) -> Envelope:
    return Envelope(alert=alert(name, kind), delivery_id=DELIVERY_ID, attempt=attempt, sent_at=NOON)

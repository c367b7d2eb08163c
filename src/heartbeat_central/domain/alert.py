"""What to tell people: a frozen snapshot, and the words for it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum, StrEnum
from typing import Any
from uuid import UUID

from heartbeat_central.domain import moment
from heartbeat_central.domain.digest import Digest, DigestEntry, DigestTopic
from heartbeat_central.domain.incident import Incident, Reason
from heartbeat_central.domain.state import Shown
from heartbeat_central.domain.view import ApplicationView, incident_from_json, incident_json


class AlertKind(StrEnum):
    """What happened; the webhook's `event`."""

    DOWN = "down"
    UP = "up"
    REMINDER = "reminder"
    TEST = "test"
    DIGEST = "digest"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """Decided once, told as often as there are channels; later changes don't alter it."""

    kind: AlertKind
    application: ApplicationView | None = None
    """As it was when the alert was decided; None in a digest and in a test of a channel."""
    incident: Incident | None = None
    digest: Digest | None = None
    """What a digest tells; None in all other kinds."""
    dashboard_url: str
    """Where to look: the application's page, else the dashboard."""
    created_at: datetime
    note: str = ""
    """What has changed since, when it goes out late. Found out at each attempt, never stored."""

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON values, to store."""
        return {
            "kind": self.kind.value,
            "application": _stored(self.application) if self.application else None,
            "incident": incident_json(self.incident) if self.incident else None,
            "digest": self.digest.as_json() if self.digest else None,
            "dashboard_url": self.dashboard_url,
            "created_at": moment.isoformat(self.created_at),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Alert":
        """Return the alert that `as_json` wrote."""
        application, incident = data["application"], data["incident"]
        # Alerts that an older version stored have none.
        digest = data.get("digest")
        created_at = moment.parse(data["created_at"])
        assert created_at is not None
        return cls(
            kind=AlertKind(data["kind"]),
            application=ApplicationView.from_json(application) if application else None,
            incident=incident_from_json(incident) if incident else None,
            digest=Digest.from_json(digest) if digest else None,
            dashboard_url=data["dashboard_url"],
            created_at=created_at,
        )


def _stored(application: ApplicationView) -> dict[str, Any]:
    stored = application.as_json()
    # A node of the version before, which may send this, doesn't know it.
    if stored["problem"] is None:
        del stored["problem"]
    return stored


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """One alert on its way to one channel."""

    alert: Alert
    delivery_id: UUID
    """The same for every attempt, so that receivers can drop a repetition."""
    attempt: int = 1
    sent_at: datetime
    """When this attempt began."""


@dataclass(frozen=True, slots=True)
class Fact:
    """A labelled line of an alert."""

    label: str
    value: str


class Tone(Enum):
    """How bad it is, for a colour or a sign."""

    ALARM = "alarm"
    ALL_CLEAR = "all clear"
    NEUTRAL = "neutral"


def tone(alert: Alert) -> Tone:
    """Return how bad it is: a digest is an alarm while an outage or a problem of its list lasts."""
    if alert.digest is None:
        return _TONES.get(alert.kind, Tone.NEUTRAL)
    if alert.digest.topic is DigestTopic.DEAD_LETTER:
        return Tone.ALARM
    if alert.digest.topic is DigestTopic.NOT_WATCHED:
        unwatched = any(one.problem for one in alert.digest.applications())
        return Tone.ALARM if unwatched else Tone.ALL_CLEAR
    outages = alert.digest.incidents()
    if any(incident.closed_at is None for incident in outages):
        return Tone.ALARM
    return Tone.ALL_CLEAR if outages else Tone.NEUTRAL


_TONES = {
    AlertKind.DOWN: Tone.ALARM,
    AlertKind.REMINDER: Tone.ALARM,
    AlertKind.UP: Tone.ALL_CLEAR,
}


def subject(alert: Alert) -> str:
    """Return one line: `DOWN: Nightly backup`. Names are as people gave them: escape for the medium."""
    if alert.digest is not None:
        return _one_line(alert.digest.title)
    if alert.application is None:
        return "TEST: Heartbeat Central can reach this channel"
    return f"{alert.kind.value.upper()}: {_one_line(alert.application.name)}"


def summary(alert: Alert) -> str:
    """Return one sentence, two in some digests, that says what happened and why."""
    if alert.digest is not None:
        return _one_line(alert.digest.sentence)
    if alert.application is None:
        return "This is a test. Alerts of your applications will arrive here."
    name = _one_line(alert.application.name)
    incident = alert.incident
    if incident is None:
        return f"{name} is {alert.application.status.value}."
    if alert.kind is AlertKind.UP:
        return f"{name} is up again after {span(incident.lasted(alert.created_at))}."
    return f"{name} is down: it {cause(incident)}."


def facts(alert: Alert) -> list[Fact]:
    """Return the lines to show below the summary, which repeat nothing of it.

    An outage's summary names its cause, a recovery's how long it was down.
    Of a digest there is little more than the link; its list is `rows`.
    """
    lines = []
    incident, application = alert.incident, alert.application
    if incident is not None:
        lines.append(Fact("Down since", clock(incident.opened_at)))
        if incident.closed_at is not None:
            lines.append(Fact("Up since", clock(incident.closed_at)))
        if alert.kind is AlertKind.UP:
            lines.append(Fact("Reason", cause(incident)))
        lines.append(last_heartbeat(alert, incident))
    if application is not None and application.tags:
        lines.append(Fact("Tags", ", ".join(map(_one_line, application.tags))))
    if alert.note:
        lines.append(Fact("Note", _one_line(alert.note)))
    lines.append(Fact("Details", alert.dashboard_url))
    return lines


def last_heartbeat(alert: Alert, incident: Incident) -> Fact:
    """Return when the application was last heard of before the outage.

    Not what it shows now: that is the very signal that ended the outage, or the failure itself.
    """
    label = "Last heartbeat before the outage" if alert.kind is AlertKind.UP else "Last heartbeat"
    return Fact(label, clock(incident.last_heartbeat_at))


def rows(alert: Alert) -> list[Fact]:
    """Return the list of a digest: each application's name and how it is. Empty for other kinds."""
    if alert.digest is None:
        return []
    return [
        Fact(_one_line(entry.application.name), _condition(entry, alert.created_at))
        for entry in alert.digest.entries
    ]


def _condition(entry: DigestEntry, now: datetime) -> str:
    incident = entry.incident
    if incident is None:
        heard = f"last heartbeat {clock(entry.application.last_heartbeat)}"
        problem = entry.application.problem
        return f"{heard}, {_one_line(problem)}" if problem else heard
    if incident.closed_at is None:
        return f"down since {clock(incident.opened_at)}, {cause(incident)}"
    lasted = span(incident.lasted(now))
    if entry.application.status is Shown.DOWN:
        return f"was down for {lasted} since {clock(incident.opened_at)}, and is down again"
    if entry.application.status is Shown.PAUSED:
        return f"was down for {lasted} since {clock(incident.opened_at)}, and is paused now"
    return f"up again after {lasted}, down since {clock(incident.opened_at)}, {cause(incident)}"


def text(alert: Alert) -> str:
    """Return the whole alert as plain text, a digest with its list."""
    lines = [*rows(alert), *facts(alert)]
    return "\n".join([summary(alert), *(f"{line.label}: {line.value}" for line in lines)])


def cause(incident: Incident) -> str:
    """Return why it is down, as a phrase that may follow `it`."""
    if incident.reason is Reason.FAILED and incident.exit_status is not None:
        return f"failed with exit status {incident.exit_status}"
    if incident.reason is Reason.MISSED and incident.last_heartbeat_at is None:
        return "never sent a heartbeat"
    return _CAUSES[incident.reason]


_CAUSES = {
    Reason.MISSED: "missed its heartbeat",
    Reason.FAILED: "reported a failure",
    Reason.UNFINISHED: "started and did not finish in time",
    Reason.UNVERIFIED: "was not heard from, which can't be verified: Heartbeat Central was interrupted too",
}


def clock(at: datetime | None) -> str:
    """Return `2026-11-23 12:00:00 UTC`, or `never`."""
    return "never" if at is None else at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def span(length: timedelta) -> str:
    """Return the two largest units: `2 d 3 h`, `4 min 5 s`, `7 s`."""
    seconds = max(0, round(length.total_seconds()))
    parts = []
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2]) or "0 s"


def _one_line(words: str) -> str:
    return " ".join(words.split())

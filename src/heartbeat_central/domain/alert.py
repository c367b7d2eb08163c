"""What to tell people: a frozen snapshot, and the words for it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from heartbeat_central.domain import moment
from heartbeat_central.domain.incident import Incident, Reason
from heartbeat_central.domain.view import ApplicationView, incident_json


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
    """As it was when the alert was decided; None in a test of a channel."""
    incident: Incident | None = None
    dashboard_url: str
    """Where to look: the application's page, else the dashboard."""
    created_at: datetime

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON values, to store."""
        return {
            "kind": self.kind.value,
            "application": self.application.as_json() if self.application else None,
            "incident": incident_json(self.incident) if self.incident else None,
            "dashboard_url": self.dashboard_url,
            "created_at": moment.isoformat(self.created_at),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Alert":
        """Return the alert that `as_json` wrote."""
        application, incident = data["application"], data["incident"]
        created_at = moment.parse(data["created_at"])
        assert created_at is not None
        return cls(
            kind=AlertKind(data["kind"]),
            application=ApplicationView.from_json(application) if application else None,
            incident=_incident(incident) if incident else None,
            dashboard_url=data["dashboard_url"],
            created_at=created_at,
        )


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


def subject(alert: Alert) -> str:
    """Return one line: `DOWN: Nightly backup`. Names are as people gave them: escape for the medium."""
    if alert.application is None:
        return "TEST: Heartbeat Central can reach this channel"
    return f"{alert.kind.value.upper()}: {_one_line(alert.application.name)}"


def summary(alert: Alert) -> str:
    """Return one sentence that says what happened and why."""
    if alert.application is None:
        return "This is a test. Alerts of your applications will arrive here."
    name = _one_line(alert.application.name)
    incident = alert.incident
    if incident is None:
        return f"{name} is {alert.application.status.value}."
    if alert.kind is AlertKind.UP:
        return f"{name} is up again after {span(incident.lasted(alert.created_at))}."
    return f"{name} is down: {cause(incident)}."


def facts(alert: Alert) -> list[Fact]:
    """Return the lines to show below the summary: since when, why, last heartbeat, how long, link."""
    lines = []
    incident, application = alert.incident, alert.application
    if incident is not None:
        lines.append(Fact("Down since", clock(incident.opened_at)))
        if incident.closed_at is not None:
            lines.append(Fact("Up since", clock(incident.closed_at)))
            lines.append(Fact("Down for", span(incident.lasted(alert.created_at))))
        lines.append(Fact("Reason", cause(incident)))
    if application is not None:
        lines.append(Fact("Last heartbeat", clock(application.last_heartbeat)))
        if application.tags:
            lines.append(Fact("Tags", ", ".join(map(_one_line, application.tags))))
    lines.append(Fact("Details", alert.dashboard_url))
    return lines


def text(alert: Alert) -> str:
    """Return the whole alert as plain text."""
    return "\n".join([summary(alert), *(f"{fact.label}: {fact.value}" for fact in facts(alert))])


def cause(incident: Incident) -> str:
    """Return why it is down, as a phrase."""
    if incident.reason is Reason.FAILED and incident.exit_status is not None:
        return f"failed with exit status {incident.exit_status}"
    return _CAUSES[incident.reason]


_CAUSES = {
    Reason.MISSED: "missed its heartbeat",
    Reason.FAILED: "reported a failure",
    Reason.UNFINISHED: "started and did not finish in time",
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


def _incident(data: Mapping[str, Any]) -> Incident:
    opened_at = moment.parse(data["opened_at"])
    assert opened_at is not None
    return Incident(
        id=data["id"],
        application_id=data["application_id"],
        reason=Reason(data["reason"]),
        exit_status=data["exit_status"],
        opened_at=opened_at,
        closed_at=moment.parse(data["closed_at"]),
        last_heartbeat_at=moment.parse(data["last_heartbeat"]),
    )

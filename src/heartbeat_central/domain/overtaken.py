"""Alerts that events have overtaken: which are sent no more, and what a late one says of that.

A late `down` would cry wolf, and an alert that says what is no longer so would mislead.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from heartbeat_central.domain.alert import Alert, AlertKind, clock
from heartbeat_central.domain.digest import DigestEntry, DigestTopic
from heartbeat_central.domain.incident import Incident
from heartbeat_central.domain.state import Shown

LATE = timedelta(minutes=5)
"""What goes out longer than this after it was decided says so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """How things are when an alert is about to be sent."""

    channel_is_active: bool = True
    application_exists: bool = True
    """True as well when the alert is about no single application."""
    application_is_paused: bool = False
    incident_is_open: bool = True
    """Of the alert's own outage."""
    down_since: datetime | None = None
    """When the application's open outage began, whichever that is; None when it has none."""


def why_overtaken(alert: Alert, situation: Situation) -> str | None:
    """Return why an alert must not be sent any more, None when it must."""
    if alert.kind is AlertKind.TEST:
        return None
    if not situation.channel_is_active:
        return "the channel was switched off"
    if not situation.application_exists:
        return "the application was deleted"
    if alert.kind is AlertKind.DOWN and not situation.incident_is_open:
        if situation.application_is_paused:
            return "the application was paused before this was sent"
        # A recovery has an alert of its own, which says from when to when it was down.
        return "the outage ended before this was sent; the recovery alert tells of it"
    return None


def brought_up_to_date(alert: Alert, situation: Situation, *, now: datetime) -> Alert:
    """Return the alert with a note on what has changed since it was decided, if there is any."""
    notes = []
    if alert.kind is AlertKind.UP and situation.down_since is not None:
        notes.append(f"It went down again at {clock(situation.down_since)}.")
    if alert.kind is not AlertKind.TEST and now - alert.created_at > LATE:
        notes.append(f"This comes late, it was decided at {clock(alert.created_at)}.")
    return replace(alert, note=" ".join(notes)) if notes else alert


def needs_review(alert: Alert) -> bool:
    """Return whether the list of a digest must be compared with how things are now."""
    return (
        alert.digest is not None
        and alert.digest.topic is DigestTopic.STORM
        and _lasting(alert.digest.entries)
    )


def reviewed(
    alert: Alert, incidents: Mapping[int, Incident], statuses: Mapping[int, Shown]
) -> Alert | None:
    """Return a digest of a storm with its list as things are now; None when no outage of it lasts.

    `incidents` and `statuses`, by the ids of incident and application, lack what was deleted.
    """
    assert alert.digest is not None
    entries = tuple(
        DigestEntry(
            application=replace(entry.application, status=statuses[entry.application.id]),
            incident=incidents[entry.incident.id],
        )
        for entry in alert.digest.entries
        if entry.incident is not None
        and entry.incident.id in incidents
        and entry.application.id in statuses
    )
    if not _lasting(entries):
        return None
    return replace(alert, digest=replace(alert.digest, entries=entries))


def _lasting(entries: Iterable[DigestEntry]) -> bool:
    return any(entry.incident is not None and entry.incident.closed_at is None for entry in entries)

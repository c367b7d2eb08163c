"""Turns transitions into their incidents and their alerts, inside the caller's transaction.

Many at once cost as many statements as one: when a switch fails, a thousand applications go down
together, and each must be told within seconds.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from heartbeat_central.domain.alert import Alert, AlertKind
from heartbeat_central.domain.blind_window import NO_WINDOWS, BlindWindows
from heartbeat_central.domain.incident import Incident
from heartbeat_central.domain.state import Recovered, State, Stopped, Transition, WentDown
from heartbeat_central.domain.view import application_view
from heartbeat_central.services.hold_storms import Saved, hold_storms
from heartbeat_central.storage import applications, incidents, outbox
from heartbeat_central.storage.engine import Connection
from heartbeat_central.storage.incidents import NewIncident
from heartbeat_central.storage.outbox import NewAlert


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One application on its way from one status to another."""

    application_id: int
    project_id: int
    before: State
    after: State
    transition: Transition
    windows: BlindWindows = NO_WINDOWS
    """The blind ones that its deadline depends on."""


def save_transitions(
    connection: Connection, changes: Iterable[Change], *, now: datetime, base_url: str
) -> int:
    """Open or close the incidents and add one delivery per subscribed channel; return how many.

    Those that are part of a storm are held back for its digest. `changes` are in the order in which
    they happened. All in the transaction that stores the new status: an outage and its alerts exist
    together or not at all.
    """
    saved: list[Saved] = []
    added = 0
    for wave in _waves(changes):
        these, deliveries = _save(connection, wave, now, base_url)
        saved += these
        added += deliveries
    hold_storms(connection, saved, now=now)
    return added


def _waves(changes: Iterable[Change]) -> Iterator[list[Change]]:
    """Yield runs of changes in which no application comes twice: it may fail and recover in one batch."""
    wave: dict[int, Change] = {}
    for change in changes:
        if change.application_id in wave:
            yield list(wave.values())
            wave = {}
        wave[change.application_id] = change
    if wave:
        yield list(wave.values())


def _save(
    connection: Connection, changes: Sequence[Change], now: datetime, base_url: str
) -> tuple[list[Saved], int]:
    """Return what was saved of each outage, and how many deliveries were added in all."""
    about = _incidents(connection, changes)
    told = [change for change in changes if not isinstance(change.transition, Stopped)]
    subscribed = outbox.subscribed_channels(connection, [one.application_id for one in told])
    loaded = applications.load_many(connection, list(subscribed))
    alerts = [
        NewAlert(
            change.project_id,
            Alert(
                kind=_kind(change),
                application=application_view(
                    loaded[change.application_id],
                    change.after,
                    now=now,
                    base_url=base_url,
                    windows=change.windows,
                ),
                incident=about.get(change.application_id),
                dashboard_url=f"{base_url}/applications/{change.application_id}",
                created_at=now,
            ),
            subscribed[change.application_id],
        )
        for change in told
        if change.application_id in subscribed
    ]
    ids = outbox.add_many(connection, alerts)
    # In the order in which they were added: alert by alert, channel by channel.
    rest = iter(ids)
    deliveries = {
        change.application_id: [
            (next(rest), channel_id) for channel_id in subscribed.get(change.application_id, ())
        ]
        for change in told
    }
    saved = [
        Saved(
            project_id=change.project_id,
            kind=_kind(change),
            incident=about[change.application_id],
            deliveries=deliveries[change.application_id],
        )
        for change in told
        if change.application_id in about
    ]
    return saved, len(ids)


def _kind(change: Change) -> AlertKind:
    return AlertKind.UP if isinstance(change.transition, Recovered) else AlertKind.DOWN


def _incidents(connection: Connection, changes: Sequence[Change]) -> dict[int, Incident]:
    """Open and close incidents; return each by the id of its application."""
    opening = []
    closing = {}
    for change in changes:
        match change.transition:
            case WentDown():
                opening.append(
                    NewIncident(
                        project_id=change.project_id,
                        application_id=change.application_id,
                        reason=change.transition.reason,
                        exit_status=change.transition.exit_status,
                        opened_at=change.transition.at,
                        last_heartbeat_at=change.before.last_heartbeat_at,
                    )
                )
            case Recovered() | Stopped():
                closing[change.application_id] = change.transition.at
    found = [
        *incidents.open_many(connection, opening),
        *incidents.close_many(connection, closing),
    ]
    return {incident.application_id: incident for incident in found}

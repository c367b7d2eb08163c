"""Line 1, record: a batch of signals becomes history, new states, incidents and alerts, at once.

Here every signal is judged by the rules, under a lock. `services.recorder` spares that to those that
only say "still here".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from uuid import UUID

import structlog

from heartbeat_central.domain.errors import StorageUnavailable
from heartbeat_central.domain.signal import Signal
from heartbeat_central.domain.state import Decision, State, Status, on_signal
from heartbeat_central.services.look_through import mend_missing
from heartbeat_central.services.save_transition import Change, save_transitions
from heartbeat_central.storage import heartbeats, states
from heartbeat_central.storage.engine import Connection, Database
from heartbeat_central.storage.heartbeats import NewHeartbeat
from heartbeat_central.storage.states import Watched

log = structlog.get_logger(__name__)


class Outcome(Enum):
    """What became of one signal."""

    STORED = "ok"
    PAUSED = "paused"
    """Stored; the application is paused, so it changes nothing."""
    UNKNOWN = "unknown"
    """There is no such application. Nothing is stored."""
    FAILED = "failed"
    """This signal alone could not be stored; the rest of its batch was."""
    PROOF = "proof"
    """A self-beat of this process: no heartbeat of anybody's. The last of all, for it isn't counted."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """The outcomes in the order of the signals, and whether the monitor has something new to do."""

    outcomes: Sequence[Outcome]
    wake: bool
    """A deadline moved earlier, or an alert waits to be sent."""
    states: Mapping[UUID, tuple[int, State]] = field(default_factory=dict)
    """Ids and states, as committed, of the applications that were looked at."""


def record_signals(
    database: Database, signals: Sequence[Signal], *, now: datetime, base_url: str
) -> Recorded:
    """Store `signals`, given in the order they arrived, in one transaction.

    When this returns, everything it reports as stored is committed. Raises StorageUnavailable when
    the database can't take it: then nothing is stored.
    """
    try:
        with database.write(hurried=True) as connection:
            return _record(connection, signals, now=now, base_url=base_url)
    except StorageUnavailable:
        raise
    except Exception:
        if len(signals) == 1:
            log.exception("signal_refused", application=str(signals[0].uuid))
            return Recorded([Outcome.FAILED], wake=False)
    # One poisoned signal must not cost the others theirs.
    alone = [record_signals(database, [signal], now=now, base_url=base_url) for signal in signals]
    return Recorded(
        [one.outcomes[0] for one in alone],
        wake=any(one.wake for one in alone),
        states={uuid: seen for one in alone for uuid, seen in one.states.items()},
    )


def _record(
    connection: Connection, signals: Sequence[Signal], *, now: datetime, base_url: str
) -> Recorded:
    wanted = {signal.uuid for signal in signals}
    watched = states.lock_for_signals(connection, wanted)
    unknown = wanted.difference(watched)
    if unknown and mend_missing(connection, now=now, uuids=unknown):
        watched = states.lock_for_signals(connection, wanted)
    current = {one.id: one.state for one in watched.values()}
    outcomes: list[Outcome] = []
    rows: list[NewHeartbeat] = []
    changes: list[Change] = []
    wake = False
    for signal in signals:
        application = watched.get(signal.uuid)
        if application is None:
            outcomes.append(Outcome.UNKNOWN)
            continue
        before = current[application.id]
        decision = _decide(application, before, signal)
        rows.append(NewHeartbeat(application.id, signal, decision.duration))
        current[application.id] = decision.state
        if decision.transition is not None:
            changes.append(
                Change(
                    application_id=application.id,
                    project_id=application.project_id,
                    before=before,
                    after=decision.state,
                    transition=decision.transition,
                )
            )
        wake |= _is_earlier(decision.state, than=before)
        paused = before.status is Status.PAUSED
        outcomes.append(Outcome.PAUSED if paused else Outcome.STORED)
    states.save_many(
        connection,
        {one.id: current[one.id] for one in watched.values() if current[one.id] is not one.state},
    )
    heartbeats.insert_many(connection, rows)
    alerts_added = save_transitions(connection, changes, now=now, base_url=base_url)
    seen = {uuid: (one.id, current[one.id]) for uuid, one in watched.items()}
    return Recorded(outcomes, wake or alerts_added > 0, seen)


def _decide(application: Watched, before: State, signal: Signal) -> Decision:
    try:
        return on_signal(application.timing, before, signal)
    except Exception:
        # Stored it is in any case; that nothing can be concluded from it, the detector finds and tells.
        log.exception("signal_not_judged", application=application.id)
        return Decision(before)


def _is_earlier(after: State, *, than: State) -> bool:
    if after.check_at is None:
        return False
    return than.check_at is None or after.check_at < than.check_at

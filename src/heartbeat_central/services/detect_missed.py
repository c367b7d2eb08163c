"""Line 2, notice: applications whose check is due are judged again; the silent ones go down."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from heartbeat_central.domain.blind_window import NO_WINDOWS, BlindWindows, Span
from heartbeat_central.domain.state import on_clock, silent_since
from heartbeat_central.services.save_transition import Change, save_transitions
from heartbeat_central.storage import blind_windows, states
from heartbeat_central.storage.engine import Connection, Database
from heartbeat_central.storage.states import Watched

BATCH: Mapping[str, int] = {"postgresql": 500, "sqlite": 50}
"""Rows that one transaction judges: enough to be fast. On SQLite, where heartbeats wait for it, few
enough that they don't wait long."""

SETTLING = timedelta(seconds=60)
"""After a blind window, until its digest: who calls again in that time need not be named."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Swept:
    """What one pass found."""

    deadlines: Sequence[datetime]
    """Those of the applications that went down."""
    alerts_added: int
    more: bool
    """More applications were due than one transaction takes: run again at once."""
    next_check_at: datetime | None
    """When to look again; None when nothing awaits a check."""

    @property
    def went_down(self) -> int:
        """Return how many applications went down."""
        return len(self.deadlines)


def detect_missed(database: Database, *, now: datetime, base_url: str) -> Swept:
    """Judge up to BATCH applications whose check is due, and re-arm or open an incident for each.

    `now` must be no later than it is known that heartbeats could be received: every blind window up to
    then is stored. Any number of nodes may run this at once: each takes rows that no other holds. The
    deadline is computed under the row lock, so a heartbeat that was acknowledged before always wins.
    """
    most = BATCH[database.dialect]
    with database.write() as connection:
        due = states.lock_due(connection, now=now, most=most)
        windows = _windows(connection, due)
        excused: set[Span] = set()
        changed = {}
        went_down = []
        for one in due:
            decision = on_clock(one.timing, one.state, now=now, windows=windows)
            changed[one.id] = decision.state
            excused.update(decision.excused)
            if decision.transition is not None:
                went_down.append(
                    Change(
                        application_id=one.id,
                        project_id=one.project_id,
                        before=one.state,
                        after=decision.state,
                        transition=decision.transition,
                        windows=windows,
                    )
                )
        alerts_added = save_transitions(connection, went_down, now=now, base_url=base_url)
        states.save_many(connection, changed)
        _ask_for_digests(connection, windows, excused, now)
        next_check_at = states.earliest_check(connection)
    if went_down:
        log.info("applications_went_down", count=len(went_down), alerts=alerts_added)
    deadlines = [one.transition.at for one in went_down]
    return Swept(deadlines, alerts_added, len(due) == most, next_check_at)


def _windows(connection: Connection, due: Sequence[Watched]) -> BlindWindows:
    if not due:
        return NO_WINDOWS
    return blind_windows.since(connection, min(silent_since(one.state) for one in due))


def _ask_for_digests(
    connection: Connection, windows: BlindWindows, excused: Collection[Span], now: datetime
) -> None:
    # One for a span in which there were many windows: a service that restarts every minute must not
    # send sixty digests about an application that calls every hour.
    decisive = {windows.last_in(span) for span in excused}
    for window in decisive:
        if window is not None and window.id is not None:
            due_at = max(now, window.ended_at + SETTLING)
            blind_windows.ask_for_digest(connection, window.id, due_at=due_at)


def next_check(database: Database) -> datetime | None:
    """Return when the next application must be judged: one look at an index."""
    with database.read() as connection:
        return states.earliest_check(connection)

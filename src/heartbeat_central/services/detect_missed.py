"""Line 2, notice: applications whose check is due are judged again; the silent ones go down."""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog

from heartbeat_central.domain.blind_window import BlindWindows, Span
from heartbeat_central.domain.errors import StorageUnavailable
from heartbeat_central.domain.schedule import LOOK_AGAIN
from heartbeat_central.domain.state import Decision, State, on_clock, unjudged
from heartbeat_central.services.save_transition import Change, save_transitions
from heartbeat_central.storage import blind_windows, problems, projects, states
from heartbeat_central.storage.careful import reason
from heartbeat_central.storage.engine import Connection, Database
from heartbeat_central.storage.states import Watched

BATCH: Mapping[str, int] = {"postgresql": 500, "sqlite": 100}
"""Rows that one transaction judges at most: enough to be fast."""

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
    judged: int
    """Applications that were looked at."""
    held: float
    """Seconds that the transaction took, in which nobody else writes on SQLite."""

    @property
    def went_down(self) -> int:
        """Return how many applications went down."""
        return len(self.deadlines)


def detect_missed(
    database: Database, *, now: datetime, base_url: str, most: int | None = None
) -> Swept:
    """Judge up to `most` applications whose check is due, and re-arm or open an incident for each.

    `most` is BATCH when it isn't given.

    `now` must be no later than it is known that heartbeats could be received: every blind window up to
    then is stored. Any number of nodes may run this at once: each takes rows that no other holds. The
    deadline is computed under the row lock, so a heartbeat that was acknowledged before always wins.

    One that can't be judged costs the others nothing: it is told as a problem, and looked at again
    after LOOK_AGAIN.
    """
    most = BATCH[database.dialect] if most is None else most
    try:
        swept = _Sweep(database, now, base_url).judge(most=most)
    except StorageUnavailable:
        raise
    except Exception:
        log.exception("detection_failed")
        with database.read() as connection:
            due = states.due_ids(connection, now=now, most=most)
        swept = _in_parts(due, lambda: _Sweep(database, now, base_url))
    if swept.deadlines:
        log.info("applications_went_down", count=len(swept.deadlines), alerts=swept.alerts_added)
    return Swept(
        deadlines=swept.deadlines,
        alerts_added=swept.alerts_added,
        more=swept.judged == most,
        next_check_at=next_check(database),
        judged=swept.judged,
        held=swept.held,
    )


@dataclass(slots=True)
class _Found:
    """What came of some applications."""

    judged: int = 0
    alerts_added: int = 0
    deadlines: list[datetime] = field(default_factory=list)
    held: float = 0.0

    def add(self, other: "_Found") -> None:
        self.judged += other.judged
        self.alerts_added += other.alerts_added
        self.deadlines += other.deadlines
        self.held = max(self.held, other.held)


def _in_parts(ids: Sequence[int], sweep: "Callable[[], _Sweep]") -> _Found:
    """Judge these, halving them around whatever makes their transaction fail.

    One bad application in five hundred costs eighteen transactions; all alone it is set aside.
    """
    found = _Found()
    if not ids:
        return found
    try:
        return sweep().judge(most=len(ids), only=ids)
    except StorageUnavailable:
        raise
    except Exception as error:
        if len(ids) == 1:
            log.exception("application_not_judged", application=ids[0])
            sweep().set_aside(ids[0], f"it can't be judged ({reason(error)})")
            return _Found(judged=1)
    half = len(ids) // 2
    for part in (ids[:half], ids[half:]):
        found.add(_in_parts(part, sweep))
    return found


@dataclass(frozen=True, slots=True)
class _Sweep:
    """One transaction of the detector."""

    database: Database
    now: datetime
    base_url: str

    def judge(self, *, most: int, only: Collection[int] | None = None) -> _Found:
        """Judge what is due, all of it or of `only` these, and save what comes of it."""
        now = self.now
        with self.database.write() as connection:
            begun = time.monotonic()
            due = states.lock_due(connection, now=now, most=most, only=only)
            windows = blind_windows.since_heard(connection, [one.state for one in due])
            excused: set[Span] = set()
            changed: dict[int, State] = {}
            postponed: dict[int, datetime] = {}
            found: dict[int, str | None] = {}
            went_down: list[Change] = []
            for one in due:
                decision = _decide(one, now, windows)
                if decision.problem != one.problem:
                    found[one.id] = decision.problem
                if decision.problem is not None:
                    postponed[one.id] = decision.state.check_at or now + LOOK_AGAIN
                    continue
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
            alerts_added = save_transitions(connection, went_down, now=now, base_url=self.base_url)
            states.save_many(connection, changed)
            states.postpone(connection, postponed)
            problems.save(connection, found, now=now)
            for project_id in sorted({one.project_id for one in due if one.id in found}):
                projects.note_change(connection, project_id)
            _ask_for_digests(connection, windows, excused, now)
        for id_, problem in found.items():
            if problem is not None:
                log.error("application_unreadable", application=id_, problem=problem)
        held = time.monotonic() - begun
        return _Found(len(due), alerts_added, [one.transition.at for one in went_down], held)

    def set_aside(self, application_id: int, problem: str) -> None:
        """Note why an application can't be judged, and look at it again later."""
        with self.database.write() as connection:
            problems.save(connection, {application_id: problem}, now=self.now)
            states.postpone(connection, {application_id: self.now + LOOK_AGAIN})


def _decide(one: Watched, now: datetime, windows: BlindWindows) -> Decision:
    try:
        return on_clock(one.timing, one.state, now=now, windows=windows)
    except Exception as error:
        # What a library makes of an expression and a moment is not for us to foresee.
        log.exception("application_not_judged", application=one.id)
        return unjudged(one.state, f"it can't be judged ({reason(error)})", now=now)


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

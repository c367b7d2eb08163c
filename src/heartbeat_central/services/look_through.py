"""Now and then, looks through all applications for what the detector would not come to by itself.

It looks when the time has come that is stored with each. Where that time, or the whole state, is not what
it was stored as, nobody would ever notice that the application is silent.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import structlog

from heartbeat_central.domain.blind_window import NO_WINDOWS
from heartbeat_central.domain.overlooked import is_overlooked
from heartbeat_central.domain.state import State, Status
from heartbeat_central.storage import blind_windows, incidents, overlooked, problems, states
from heartbeat_central.storage.engine import Connection, Database
from heartbeat_central.storage.states import Watched

PERIOD = timedelta(hours=1)
"""Between the end of one walk and the next one."""
PAGE = 500
"""Applications that are read at once."""
MOST = 5_000
"""States that are made anew in one walk."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Looked:
    """What came of one step."""

    found: int
    """Applications that the detector must look at now."""
    next_at: datetime
    """When to take the next step: at once while the walk goes on."""


class LookThrough:
    """One process's walks. Not thread-safe: one job owns it. Any number of nodes may walk.

    The first walk, at the start, takes in everybody: an update may have taken away a time zone. The
    others leave out whom the detector looks at before the next one.
    """

    def __init__(self, database: Database, *, page: int = PAGE) -> None:
        self._database = database
        self._page = page
        self._after_id = 0
        self._is_first = True

    def step(self, *, now: datetime) -> Looked:
        """Look at the next page. Raises StorageUnavailable."""
        found = self._begin(now) if self._after_id == 0 else 0
        with self._database.read() as connection:
            page = overlooked.page(
                connection,
                after_id=self._after_id,
                most=self._page,
                not_before=None if self._is_first else now + PERIOD,
            )
            missed = [one.id for one in page if _is_overlooked(connection, one, now)]
        if missed:
            log.warning("applications_overlooked", count=len(missed), first=missed[0])
            with self._database.write() as connection:
                # Whatever it is, the detector knows what to do; that of one too many costs it nothing.
                states.postpone(connection, dict.fromkeys(missed, now))
        if len(page) == self._page:
            self._after_id = page[-1].id
            return Looked(found + len(missed), now)
        self._after_id = 0
        self._is_first = False
        return Looked(found + len(missed), now + PERIOD)

    def _begin(self, now: datetime) -> int:
        with self._database.read() as connection:
            ids = overlooked.without_state(connection, most=MOST)
        with self._database.write() as connection:
            problems.mark_unmarked(connection, now=now)
            return mend_missing(connection, now=now) if ids else 0


def mend_missing(
    connection: Connection, *, now: datetime, uuids: Iterable[UUID] | None = None
) -> int:
    """Give a state to the applications that have none, all or these; return how many there were.

    They are down while an incident is open; else silence counts from `now`.
    """
    locked = set(overlooked.without_state(connection, uuids=uuids, most=MOST, lock=True))
    if not locked:
        return 0
    # Who held the locks may have been at the same.
    missing = overlooked.without_state(connection, uuids=uuids, most=MOST)
    ids = [id_ for id_ in missing if id_ in locked]
    if not ids:
        return 0
    log.error("states_missing", count=len(ids), first=ids[0])
    down = incidents.open_of(connection, ids)
    for id_ in ids:
        status = Status.DOWN if id_ in down else Status.NEW
        states.insert_state(connection, id_, State(status=status, armed_at=now, check_at=now))
    return len(ids)


def _is_overlooked(connection: Connection, one: Watched, now: datetime) -> bool:
    windows = NO_WINDOWS
    if one.state.extended_at is not None:
        windows = blind_windows.since_heard(connection, [one.state])
    return is_overlooked(one.timing, one.state, problem=one.problem, now=now, windows=windows)

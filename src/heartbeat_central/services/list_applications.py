"""List a project's applications, and count them by what they show."""

import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime

from heartbeat_central.domain import state as machine
from heartbeat_central.domain.state import Shown, Status
from heartbeat_central.domain.view import ApplicationView, application_view
from heartbeat_central.storage import applications, blind_windows, overview
from heartbeat_central.storage.engine import Database
from heartbeat_central.storage.states import Watched

MOST_AT_ONCE = 2_000
"""Rows that the database hands over at once when many of those that it found don't fit in the end."""
QUICK = 0.1
"""Seconds. A count that takes no longer is made anew for each page."""
KEPT = 10
"""A count that takes longer is kept for so many times as long: then counting is a tenth of the work of a
database at most, however many pages are open on however many applications."""


def list_applications(
    database: Database,
    project_id: int,
    *,
    now: datetime,
    base_url: str,
    search: str = "",
    status: Shown | None = None,
    tag: str | None = None,
    limit: int = 100,
    before_id: int | None = None,
) -> list[ApplicationView]:
    """Return up to `limit` applications, newest first, with ids below `before_id`.

    `search` finds a part of the name or the slug, in any case.
    """
    found: list[Watched] = []
    most = limit
    with database.read() as connection:
        while len(found) < limit:
            page = overview.page(
                connection,
                project_id,
                now=now,
                limit=most,
                before_id=before_id,
                status=status,
                search=search,
                tag=tag,
            )
            found += [
                one
                for one in page
                if status in (None, machine.shown(one.timing, one.state, now=now))
            ]
            if len(page) < most:
                break
            before_id = page[-1].id
            # Each look costs more than a row does: few of those found will do.
            most = max(limit, min(2 * most, MOST_AT_ONCE))
        found = found[:limit]
        loaded = applications.load_many(connection, [one.id for one in found])
        windows = blind_windows.since_heard(connection, [one.state for one in found])
    return [
        application_view(loaded[one.id], one.state, now=now, base_url=base_url, windows=windows)
        for one in found
        # Deleted since the page was read.
        if one.id in loaded
    ]


def count_by_status(database: Database, project_id: int, *, now: datetime) -> dict[Shown, int]:
    """Return how many applications show each status at `now`: milliseconds for ten thousand of them."""
    counts: Counter[Shown] = Counter()
    with database.read() as connection:
        stored = overview.count(connection, project_id)
        for one in overview.maybe_late(connection, project_id, now=now):
            counts[machine.shown(one.timing, one.state, now=now)] += 1
            stored[one.state.status, False] -= 1
    for (status, is_running), number in stored.items():
        silent = status in (Status.DOWN, Status.PAUSED)
        counts[Shown.RUNNING if is_running and not silent else Shown(status)] += number
    return {status: counts[status] for status in Shown}


class StatusCounts:
    """Counts for pages, which may be a little old where there are very many applications.

    Safe to share between threads.
    """

    def __init__(self, database: Database, *, timer: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._timer = timer
        self._kept: dict[int, tuple[float, dict[Shown, int]]] = {}
        """By project: until when, and the counts."""

    def of(self, project_id: int, *, now: datetime) -> dict[Shown, int]:
        """Return how many applications show each status at `now`, or did a moment before."""
        begun = self._timer()
        until, counts = self._kept.get(project_id, (begun, {}))
        if begun < until:
            return counts
        counts = count_by_status(self._database, project_id, now=now)
        took = self._timer() - begun
        if took > QUICK:
            self._kept[project_id] = begun + took * (1 + KEPT), counts
        return counts

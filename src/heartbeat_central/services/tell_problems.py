"""An application that can't be watched would fail unheard: its channels are told, many in one digest."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime

import structlog

from heartbeat_central.domain import unwatched
from heartbeat_central.domain.alert import Alert, AlertKind
from heartbeat_central.domain.digest import ListedApplication
from heartbeat_central.domain.state import Shown
from heartbeat_central.services.listed import listed
from heartbeat_central.storage import applications, outbox, problems, states
from heartbeat_central.storage.engine import Connection, Database
from heartbeat_central.storage.outbox import NewAlert

MOST = 5_000
"""Applications that one transaction tells of; the rest are told after a pause."""

log = structlog.get_logger(__name__)


def tell_problems(database: Database, *, now: datetime, base_url: str) -> int:
    """Put a digest for each channel concerned into the outbox; return how many deliveries that added.

    Each problem is told once, however often it is found again, and that it is gone is told as well. The
    first are told GATHERING after they were found, what follows at most every PAUSE. Any number of
    nodes may run this at once: each project is told by one of them. Raises StorageUnavailable.
    """
    with database.read() as connection:
        # Mostly there are none: no write transaction, so no disk is touched.
        if not problems.is_any_untold(connection):
            return 0
        projects = problems.projects_to_tell(
            connection,
            now=now,
            since=now - unwatched.GATHERING,
            told_before=now - unwatched.PAUSE,
        )
    return sum(_tell(database, project_id, now, base_url) for project_id in projects)


def _tell(database: Database, project_id: int, now: datetime, base_url: str) -> int:
    with database.read() as connection:
        # Beforehand: heartbeats on SQLite would wait while thousands are listed.
        found = problems.untold(connection, project_id, most=MOST)
        known = _listed(connection, [one.id for one in found], now, base_url)
    with database.write() as connection:
        # The applications first, as all do who change a project because of them.
        untold = problems.untold(connection, project_id, most=MOST, lock=True)
        bad: list[int] = []
        others: list[int] = []
        told: list[ListedApplication] = []
        for one in untold:
            if one.id not in known:
                continue
            if known[one.id].status is Shown.PAUSED:
                # Nobody expects that it is watched.
                others.append(one.id)
                continue
            (others if one.problem is None else bad).append(one.id)
            # What went before it was told, or came back before that was told, is as people know it.
            if (one.problem is None) is one.was_told:
                told.append(replace(known[one.id], problem=one.problem))
        if told and not problems.claim_project(
            connection, project_id, now=now, told_before=now - unwatched.PAUSE
        ):
            # Another node was faster.
            return 0
        alerts = list(_alerts(connection, project_id, told, now, base_url))
        added = outbox.add_many(connection, alerts)
        problems.set_told(connection, bad, told_at=now)
        problems.set_told(connection, others, told_at=None)
    if told:
        log.warning("problems_told", applications=len(told), alerts=len(added))
    return len(added)


def _listed(
    connection: Connection, ids: Sequence[int], now: datetime, base_url: str
) -> dict[int, ListedApplication]:
    loaded = applications.load_many(connection, ids)
    hot = states.load_many(connection, ids)
    return {
        id_: listed(application, hot[id_], now=now, base_url=base_url)
        for id_, application in loaded.items()
        if id_ in hot
    }


def _alerts(
    connection: Connection,
    project_id: int,
    told: Sequence[ListedApplication],
    now: datetime,
    base_url: str,
) -> Iterator[NewAlert]:
    """Yield the digests, each channel's with the applications that are subscribed to it."""
    subscribed = outbox.subscribed_channels(connection, [one.id for one in told])
    by_channel: dict[int, list[ListedApplication]] = {}
    for one in told:
        for channel_id in subscribed.get(one.id, ()):
            by_channel.setdefault(channel_id, []).append(one)
    for channel_id, those in by_channel.items():
        for digest in unwatched.digests(those):
            alert = Alert(
                kind=AlertKind.DIGEST,
                digest=digest,
                dashboard_url=f"{base_url}/",
                created_at=now,
            )
            yield NewAlert(project_id, alert, [channel_id])

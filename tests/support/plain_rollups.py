"""Rollups worked out the plain way, from all that is stored, to compare the service's with."""

from collections import defaultdict
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from sqlalchemy import select

from heartbeat_central.domain.rollup import NOTHING, Rollup, Span
from heartbeat_central.domain.signal import SignalKind
from heartbeat_central.storage import tables
from heartbeat_central.storage.engine import Database
from heartbeat_central.storage.rollups import Key, to_rollup


def stored(database: Database, span: Span) -> dict[Key, Rollup]:
    """Return every rollup that the service has stored and that says anything."""
    table = {Span.HOUR: tables.hourly_rollups, Span.DAY: tables.daily_rollups}[span]
    with database.read() as connection:
        found = {
            (row.application_id, row.starts_at): to_rollup(row)
            for row in connection.execute(select(table))
        }
    return {key: rollup for key, rollup in found.items() if rollup != NOTHING}


def expected(database: Database, span: Span, *, until: datetime) -> dict[Key, Rollup]:
    """Return what the heartbeats and outages of applications that exist come to.

    Open outages count up to `until`.
    """
    with database.read() as connection:
        existing = set(connection.execute(select(tables.applications.c.id)).scalars())
        beats = connection.execute(select(tables.heartbeats)).all()
        outages = connection.execute(select(tables.incidents)).all()
    groups: dict[Key, list[Any]] = defaultdict(list)
    for row in beats:
        if row.application_id in existing:
            groups[row.application_id, span.start(row.received_at)].append(row)
    found = {key: _rollup(group) for key, group in groups.items()}
    for row in outages:
        end = row.closed_at or until
        start = span.start(row.opened_at)
        while start < end:
            down = min(end, start + span.value) - max(row.opened_at, start)
            key = row.application_id, start
            before = found.get(key, NOTHING)
            found[key] = replace(before, down=before.down + down)
            start += span.value
    return {key: rollup for key, rollup in found.items() if rollup != NOTHING}


def _rollup(rows: list[Any]) -> Rollup:
    successes = sorted(row.received_at for row in rows if row.kind == SignalKind.SUCCESS)
    runs = [timedelta(microseconds=row.duration) for row in rows if row.duration is not None]
    gaps = [after - before for before, after in pairwise(successes)]
    return Rollup(
        successes=len(successes),
        failures=sum(row.kind == SignalKind.FAIL for row in rows),
        first_success_at=successes[0] if successes else None,
        last_success_at=successes[-1] if successes else None,
        longest_gap=max(gaps, default=NOTHING.longest_gap),
        runs=len(runs),
        run_time=sum(runs, timedelta(0)),
        longest_run=max(runs, default=timedelta(0)),
    )

"""Summer and winter time through the whole service: every run that is heard of in time is no outage, and
every one that isn't is one outage, at the very deadline.

Each application lives through one change of the clocks of its zone, 2024 to 2030, and dies after one of its
runs there. When it was due then is computed without our schedules: see tests/support/wall_clocks.py.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select

from heartbeat_central.domain import state as machine
from heartbeat_central.domain.application import settings_from
from heartbeat_central.domain.signal import Signal, SignalKind
from heartbeat_central.services.detect_missed import next_check
from heartbeat_central.storage import applications, states, tables
from tests.faults.conftest import Report
from tests.support.wall_clocks import ON_CALENDAR, QUARTER, ZONES, changes, runs_of, timer_runs
from tests.support.world import START, World

QUICK = timedelta(seconds=20)
SLOW = timedelta(minutes=50)
"""How long jobs take until they report: perhaps until the clocks show the time of their run again."""
SECOND = timedelta(seconds=1)


@dataclass(frozen=True)
class Job:
    """Runs at a few times around one change of the clocks, and dies before the last of them."""

    uuid: UUID
    kind: str
    expression: str
    zone: str
    change: datetime
    """Of the clocks there."""
    takes: timedelta
    runs: tuple[datetime, ...]

    @property
    def grace(self) -> int:
        """Return the seconds that it may take."""
        return 300 if self.takes == QUICK else 3600

    @property
    def deadline(self) -> datetime:
        """Return when its outage begins."""
        return self.runs[-1] + timedelta(seconds=self.grace)


def jobs(zones: Iterable[str], years: range) -> Iterator[Job]:
    for zone in zones:
        for change in changes(zone):
            if change.year not in years:
                continue
            for timer, cron in ON_CALENDAR.items():
                daily = "* * * *" not in cron
                around = timedelta(hours=27 if daily else 2)
                for kind, expression, written_down in (
                    ("cron", cron, runs_of),
                    ("oncalendar", timer, timer_runs),
                ):
                    runs = written_down(expression, zone, change - around, change + around)
                    # Of those every quarter of an hour, the ones next to the change.
                    near = timedelta(hours=1 if len(runs) > 8 else 99)
                    for last, run in enumerate(runs):
                        if last and abs(run - change) <= near:
                            died = tuple(runs[: last + 1])
                            for takes in (QUICK, SLOW) if daily else (QUICK,):
                                yield Job(uuid4(), kind, expression, zone, change, takes, died)


def watch(world: World, everyone: Iterable[Job]) -> dict[int, Job]:
    """Store the applications, each as if it had been made just before its first run."""
    watched = {}
    with world.database.write() as connection:
        for job in everyone:
            schedule = {"kind": job.kind, "expression": job.expression, "timezone": job.zone}
            settings = settings_from(
                name=f"{job.expression} {job.zone}",
                expected_interval=None,
                schedule=schedule,
                grace_period=job.grace,
            )
            born = job.runs[0] - QUARTER
            id_ = applications.add(
                connection,
                project_id=world.project_id,
                uuid=job.uuid,
                settings=settings,
                now=born,
            )
            states.insert_state(connection, id_, machine.born(settings.timing, now=born))
            watched[id_] = job
    return watched


def look(world: World, now: datetime) -> None:
    while (due := next_check(world.database)) is not None and due <= now:
        world.detect((now - START).total_seconds())


def live(world: World, everyone: Iterable[Job]) -> int:
    """Let the years pass; return how many heartbeats there were."""
    beats = defaultdict(list)
    for job in everyone:
        for run in job.runs[:-1]:
            beats[run + job.takes].append(job.uuid)
    deadlines = {job.deadline for job in everyone}
    for moment in sorted({*beats, *deadlines, *(one - SECOND for one in deadlines)}):
        look(world, moment)
        batch = [
            Signal(uuid=uuid, kind=SignalKind.SUCCESS, received_at=moment)
            for uuid in beats.get(moment, ())
        ]
        if batch:
            world.record(batch)
    return sum(map(len, beats.values()))


@pytest.mark.parametrize(
    ("zones", "years"),
    [
        (["America/Havana", "Australia/Lord_Howe", "Europe/Vienna"], range(2026, 2027)),
        pytest.param(ZONES, range(2024, 2031), marks=pytest.mark.soak),
    ],
    ids=["three zones, a year", "twenty zones, seven years"],
)
def test_summer_and_winter_time(
    world: World, zones: list[str], years: range, report: Report
) -> None:
    watched = watch(world, jobs(zones, years))
    heard = live(world, watched.values())
    with world.database.read() as connection:
        rows = connection.execute(select(tables.incidents)).all()
    told = defaultdict(list)
    for row in rows:
        told[row.application_id].append((row.reason, row.opened_at))
    wrong = {
        (job.kind, job.expression, job.zone, job.deadline): told[id_]
        for id_, job in watched.items()
        if told[id_] != [("missed", job.deadline)]
    }
    assert wrong == {}
    changes_seen = {(job.zone, job.change) for job in watched.values()}
    report(
        f"{len(changes_seen)} changes of the clocks, {len(watched)} jobs; {heard} heartbeats in time: "
        f"0 false; {len(rows)} that died told at the very deadline"
    )

"""From a deadline to the committed incident: a few at a time, very many at once, and none at all."""

import time
from dataclasses import dataclass
from datetime import timedelta

from bench import data
from bench.baselines import commit_per_request as plain
from bench.baselines.scan_all import sweep
from bench.load import beating
from bench.numbers import median, ms, percentile, s
from bench.report import Budget, Table, Topic
from bench.running import DIALECTS, Bench, Server, service
from bench.scale import APPLICATIONS
from bench.watching import IncidentWatch
from heartbeat_central.services.detect_missed import detect_missed, next_check
from heartbeat_central.storage.engine import Database

FEW = 500
"""Deadlines that pass one after the other …"""
SPREAD = 5
"""… within so many seconds."""
AHEAD = 4
"""Seconds between adding applications and the first deadline."""
SWEEPS = 50
OVERDUE = 1_000
"""For the baseline, which takes long enough with those."""
PATIENCE = 120


@dataclass
class Noticed:
    """Seconds from each deadline to its committed incident."""

    delays: list[float]

    @property
    def p50(self) -> float:
        return percentile(self.delays, 50)

    @property
    def p99(self) -> float:
        return percentile(self.delays, 99)

    @property
    def last(self) -> float:
        return max(self.delays)


def measure(bench: Bench) -> Topic:
    topic = Topic(
        "Noticing",
        f"{APPLICATIONS:,} applications. From the exact deadline to the moment at which another "
        "connection sees the incident, which is looked for every 5 ms. The baseline loads every "
        "application through the ORM, judges each, and commits each outage on its own "
        "(`bench/baselines/scan_all.py`); it would begin at the next of its regular runs only.",
    )
    for dialect, words in DIALECTS.items():
        quiet, busy, all_at_once = [], [], []
        for _ in range(bench.scale.slow_rounds):
            with bench.empty_database(dialect) as url, bench.opened(url) as database:
                project = data.migrated(database)
                data.add_applications(database, project, APPLICATIONS)
                with service(url) as server:
                    quiet.append(_a_few(bench, server, database, project, 1, under_load=False))
                    busy.append(_a_few(bench, server, database, project, 2, under_load=True))
            with (
                bench.empty_database(dialect) as url,
                bench.opened(url) as database,
                service(url) as server,
            ):
                project = data.project_of(database)
                all_at_once.append(_all_at_once(database, project))
        _report(topic, words, quiet, busy, all_at_once, _baseline(bench, dialect, overdue=OVERDUE))
        topic.tables.append(_none_due(bench, dialect, words))
    return topic


def _a_few(
    bench: Bench,
    server: Server,
    database: Database,
    project: int,
    turn: int,
    *,
    under_load: bool,
) -> Noticed:
    """Let FEW applications pass their deadlines one after the other."""
    # Their last heartbeats must lie after the start: before it, nobody could have received them.
    time.sleep(SPREAD + 1)
    first = APPLICATIONS + 1 + (turn - 1) * FEW
    beat = data.now() - timedelta(seconds=SPREAD)
    with IncidentWatch(database) as watch:
        data.add_applications(
            database,
            project,
            FEW,
            first=first,
            interval=SPREAD + AHEAD,
            last_heartbeat=beat,
            spread=timedelta(seconds=SPREAD),
        )
        if under_load:
            with beating(
                server.url, applications=APPLICATIONS, connections=64, seconds=AHEAD + SPREAD
            ):
                watch.wait(FEW, seconds=PATIENCE)
        else:
            watch.wait(FEW, seconds=PATIENCE)
    step = SPREAD / FEW
    due = beat.timestamp() + SPREAD + AHEAD
    return Noticed([watch.committed[first + n] - (due + n * step) for n in range(FEW)])


def _all_at_once(database: Database, project: int) -> Noticed:
    """Let all applications pass their deadlines within one second."""
    beat = data.now() + timedelta(seconds=1)
    with IncidentWatch(database) as watch:
        data.add_applications(
            database,
            project,
            APPLICATIONS,
            interval=AHEAD,
            last_heartbeat=beat,
            spread=timedelta(seconds=1),
        )
        if data.now() > beat + timedelta(seconds=AHEAD):
            raise RuntimeError("this machine took too long to fill in the applications")
        watch.wait(APPLICATIONS, seconds=PATIENCE)
    due = beat.timestamp() + AHEAD
    return Noticed([watch.committed[1 + n] - (due + n / APPLICATIONS) for n in range(APPLICATIONS)])


def _baseline(bench: Bench, dialect: str, *, overdue: int) -> float:
    """Return the seconds that the baseline takes for one sweep."""
    with bench.empty_database(dialect) as url:
        plain.fill(url, APPLICATIONS, overdue=overdue)
        return sweep(url)


def _report(
    topic: Topic,
    words: str,
    quiet: list[Noticed],
    busy: list[Noticed],
    all_at_once: list[Noticed],
    baseline: float,
) -> None:
    table = Table(f"Deadline to committed incident, {words}", ["", "p50", "p99", "last"])
    for name, rounds in (
        (f"{FEW} deadlines within {SPREAD} s", quiet),
        ("the same while heartbeats come as fast as 64 connections send them", busy),
        (f"{APPLICATIONS:,} deadlines within 1 s", all_at_once),
    ):
        table.rows.append(
            [
                name,
                ms(median(one.p50 for one in rounds)),
                ms(median(one.p99 for one in rounds)),
                ms(median(one.last for one in rounds)),
            ]
        )
    table.rows.append(
        [f"the baseline's sweep, {OVERDUE:,} of them overdue", "-", "-", ms(baseline)]
    )
    topic.tables.append(table)
    p99 = median(one.p99 for one in quiet)
    last = median(one.last for one in all_at_once)
    topic.budgets.append(
        Budget(
            f"deadline to committed incident, {APPLICATIONS:,} applications, {words}",
            "p99 <= 1 s",
            f"{ms(p99)}, under load {ms(median(one.p99 for one in busy))}",
            p99 <= 1,
        )
    )
    topic.budgets.append(
        Budget(
            f"{APPLICATIONS:,} due within one second, {words}",
            "all within 5 s",
            f"{s(last)} (the baseline, for {OVERDUE:,}: {s(baseline)})",
            last <= 5,
        )
    )


def _none_due(bench: Bench, dialect: str, words: str) -> Table:
    many = bench.scale.many_applications
    table = Table(
        f"A look when nothing is due, {words}",
        ["", "the detector's look", "a sweep that finds nothing", "the baseline's sweep"],
        note="What the detector does once a second, and what that is for; one after the other, in "
        "one thread.",
    )
    for applications in (APPLICATIONS, many):
        with bench.empty_database(dialect) as url, bench.opened(url) as database:
            data.add_applications(database, data.migrated(database), applications)
            looks = [_timed(lambda: next_check(database)) for _ in range(SWEEPS)]
            sweeps = [
                _timed(lambda: detect_missed(database, now=data.now(), base_url="http://localhost"))
                for _ in range(SWEEPS)
            ]
        plainly = "-" if applications == many else s(_baseline(bench, dialect, overdue=0))
        table.rows.append(
            [f"{applications:,} applications", ms(median(looks)), ms(median(sweeps)), plainly]
        )
    return table


def _timed(work) -> float:  # type: ignore[no-untyped-def]
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun

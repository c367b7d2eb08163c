"""Alerts: from many deadlines at once to as many webhooks, also while half of the receivers hang."""

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from bench import data, receivers
from bench.numbers import median, ms, percentile, s
from bench.receivers import Arrival, Receivers
from bench.report import Budget, Table, Topic
from bench.running import DIALECTS, ROOT, Bench, service
from bench.scale import ALERTS
from bench.watching import IncidentWatch
from heartbeat_central.storage.engine import Database

RECEIVERS = 100
INTERVAL = 4
"""Seconds between the last heartbeat and the deadline: time to fill in the rows."""
PATIENCE = 120


@dataclass
class Told:
    """One burst of alerts."""

    last_incident: float
    """Seconds from the deadline until the last incident was committed."""
    last_webhook: float
    """Seconds from the deadline until the last webhook began to arrive at a receiver that answers."""
    waits: list[float]
    """Seconds from each incident's commit to the first byte of its webhook."""
    repeated: int
    """Webhooks that came more than once."""
    cpu: float
    """Processor seconds of the service per 1,000 alerts."""


@dataclass
class Burst:
    """What one case told, a round each."""

    name: str
    rounds: list[Told] = field(default_factory=list)

    def middle(self, of: str) -> float:
        return median(getattr(told, of) for told in self.rounds)

    def wait(self, percent: float) -> float:
        return median(percentile(told.waits, percent) for told in self.rounds)


def measure(bench: Bench) -> Topic:
    topic = Topic(
        "Telling",
        f"{ALERTS:,} applications fall silent at the same moment; their alerts go out as webhooks to "
        f"{RECEIVERS} receivers that take 200 ms to answer. *Bare senders* are the service's own HTTP "
        "client on as many threads, with nothing to look up or to store: the most that sending could "
        "reach. *20 workers* send one alert each at a time, as many a job queue does, with one commit "
        "before and one after each. Both begin at the deadline, with all alerts in hand "
        "(`bench/baselines/send_alerts.py`).",
    )
    with receivers.running(RECEIVERS) as there:
        for dialect, words in DIALECTS.items():
            _all_answer(bench, there, topic, dialect, words)
            _half_hang(bench, there, topic, dialect, words)
    return topic


def _all_answer(bench: Bench, there: Receivers, topic: Topic, dialect: str, words: str) -> None:
    ours, pool, bare = Burst("Heartbeat Central"), Burst("20 workers"), Burst("bare senders")
    urls = [f"{there.urls[number % RECEIVERS]}/{number}" for number in range(ALERTS)]
    with bench.empty_database(dialect) as url, bench.opened(url) as database:
        project = data.migrated(database)
        with service(url) as server:
            for number in range(bench.scale.slow_rounds):
                first = 1 + number * ALERTS
                cpu = server.cpu_seconds()
                with _overdue(database, project, urls, first, there) as (told, arrivals):
                    arrivals += there.wait_for(ALERTS, seconds=PATIENCE)
                told.cpu = server.cpu_seconds() - cpu
                ours.rounds.append(told)
                pool.rounds.append(_baseline("commits", url, urls, there))
                bare.rounds.append(_baseline("bare", url, urls, there))
    table = Table(
        f"{ALERTS:,} alerts at once to {ALERTS:,} webhooks, {words}",
        ["", "last incident", "last webhook", "incident to first byte, p99", "CPU s / 1,000"],
        note="Times count from the deadline, which all have in common.",
    )
    table.rows.append(
        [
            ours.name,
            s(ours.middle("last_incident")),
            s(ours.middle("last_webhook")),
            ms(ours.wait(99)),
            f"{ours.middle('cpu'):.2f}",
        ]
    )
    for other in (pool, bare):
        table.rows.append([other.name, "-", s(other.middle("last_webhook")), "-", "-"])
    topic.tables.append(table)
    slowest = ours.middle("last_webhook")
    repeated = sum(told.repeated for told in ours.rounds)
    if repeated:
        raise RuntimeError(f"{repeated} webhooks came more than once")
    topic.budgets.append(
        Budget(
            f"{ALERTS:,} overdue at once to {ALERTS:,} webhooks, {words}",
            "<= 4 s",
            f"{s(slowest)} (20 workers: {s(pool.middle('last_webhook'))})",
            slowest <= 4,
        )
    )


def _half_hang(bench: Bench, there: Receivers, topic: Topic, dialect: str, words: str) -> None:
    table = Table(
        f"50 of {RECEIVERS} receivers hang, {words}",
        ["alerts that get an answer", "last incident", "last webhook", "to first byte, p50", "p99"],
        note="From the commit of the incident to the first byte at its receiver. Every second "
        "receiver never answers; each webhook is a channel of its own.",
    )
    for webhooks in (RECEIVERS, ALERTS):
        burst = Burst(f"{webhooks // 2:,} of {webhooks:,} at once")
        urls = [
            f"{there.urls[number % RECEIVERS]}/{'hang' if number % 2 else 'ok'}/{number}"
            for number in range(webhooks)
        ]
        for _ in range(bench.scale.slow_rounds):
            with (
                bench.empty_database(dialect) as url,
                bench.opened(url) as database,
                service(url) as server,
            ):
                cpu = server.cpu_seconds()
                project = data.project_of(database)
                with _overdue(database, project, urls, 1, there) as (told, arrivals):
                    arrivals += there.wait_for(webhooks // 2, seconds=PATIENCE)
                told.cpu = server.cpu_seconds() - cpu
                burst.rounds.append(told)
        table.rows.append(
            [
                burst.name,
                s(burst.middle("last_incident")),
                s(burst.middle("last_webhook")),
                ms(burst.wait(50)),
                ms(burst.wait(99)),
            ]
        )
        if webhooks == RECEIVERS:
            topic.budgets.append(
                Budget(
                    f"incident to first byte of its webhook, 50 of 100 receivers hanging, {words}",
                    "p99 <= 1 s",
                    ms(burst.wait(99)),
                    burst.wait(99) <= 1,
                )
            )
    topic.tables.append(table)


@contextlib.contextmanager
def _overdue(
    database: Database, project: int, urls: list[str], first: int, there: Receivers
) -> Iterator[tuple[Told, list[Arrival]]]:
    """Let an application for each URL fall silent; the caller collects what arrives into the list."""
    count = len(urls)
    there.arrivals()
    beat = data.now()
    data.add_applications(
        database, project, count, first=first, interval=INTERVAL, last_heartbeat=beat
    )
    data.add_webhooks(database, project, urls, applications=count, first=first)
    deadline = beat.timestamp() + INTERVAL
    if time.time() > deadline - 0.5:
        raise RuntimeError("this machine took too long to fill in the applications")
    told = Told(0, 0, [], 0, 0)
    arrivals: list[Arrival] = []
    with IncidentWatch(database) as watch:
        watch.wait(count, seconds=PATIENCE)
        yield told, arrivals
    told.last_incident = max(watch.committed.values()) - deadline
    answered = [one for one in arrivals if one.is_answered]
    told.last_webhook = max(one.first_byte for one in answered) - deadline
    told.waits = [
        one.first_byte - watch.committed[one.body["application"]["id"]] for one in answered
    ]
    told.repeated = len(answered) - len({one.body["delivery_id"] for one in answered})


def _baseline(kind: str, url: str, urls: list[str], there: Receivers) -> Told:
    there.arrivals()
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.baselines.send_alerts", kind, url],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps(urls) + "\n")
    process.stdin.flush()
    process.stdout.readline()
    begun = time.time()
    process.stdin.write("go\n")
    process.stdin.close()
    arrivals = there.wait_for(len(urls), seconds=PATIENCE)
    process.wait(30)
    last = max(one.first_byte for one in arrivals) - begun
    return Told(0, last, [], 0, 0)

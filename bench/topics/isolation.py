"""Heartbeats while people read and while alerts go out, in one process and split into three."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta

from bench import data, receivers, signed_in
from bench.load import Load, beating, page, reloading
from bench.numbers import count, median, ms, ratio
from bench.receivers import Receivers
from bench.report import Budget, Table, Topic
from bench.running import DIALECTS, Bench, Server, service
from bench.scale import ALERTS, APPLICATIONS
from heartbeat_central.storage.engine import Database

CONNECTIONS = 64
READERS = 4
SECONDS = 4
"""Of load: as long as the alerts take to go out."""
INTERVAL = 3
RECEIVERS = 100
PATIENCE = 60


@dataclass
class Split:
    """One way to run the service: who records, and who shows the pages."""

    name: str
    recorder: Server
    web: Server
    loads: dict[str, list[Load]] = field(default_factory=dict)

    def rate(self, case: str) -> float:
        return median(load.rate for load in self.loads[case])

    def p99(self, case: str) -> float:
        return median(load.p99 for load in self.loads[case])


def measure(bench: Bench) -> Topic:
    topic = Topic(
        "Isolation",
        f"Heartbeats of {CONNECTIONS} connections alone, while {READERS} clients reload the heaviest "
        f"page in a loop, and while {ALERTS:,} applications fall silent and their webhooks go out to "
        "receivers that take 200 ms. *Split* is three processes, `serve --only record`, `web` and "
        "`monitor`. The processes share two cores with the load, the readers, the receivers and the "
        "database.",
    )
    with receivers.running(RECEIVERS) as there:
        for dialect, words in DIALECTS.items():
            for parts in (False, True):
                if parts and dialect == "sqlite":
                    continue
                with _started(bench, dialect, split=parts) as (split, database, heaviest):
                    for number in range(bench.scale.slow_rounds):
                        _round(split, database, heaviest, there, number)
                    topic.tables.append(_table(split, words, heaviest))
                    topic.budgets += _budgets(split, words, parts=parts)
    return topic


@contextlib.contextmanager
def _started(
    bench: Bench, dialect: str, *, split: bool
) -> Iterator[tuple[Split, Database, tuple[str, str]]]:
    with contextlib.ExitStack() as stack:
        url = stack.enter_context(bench.empty_database(dialect))
        database = stack.enter_context(bench.opened(url))
        data.add_applications(database, data.migrated(database), APPLICATIONS)
        data.add_history(database, bench.scale.reading_history, application=1)
        if split:
            web = stack.enter_context(service(url, "--only", "web"))
            recorder = stack.enter_context(service(url, "--only", "record"))
            stack.enter_context(service(url, "--only", "monitor"))
            yield Split("split", recorder, web), database, _heaviest(web, database)
        else:
            server = stack.enter_context(service(url))
            yield Split("one process", server, server), database, _heaviest(server, database)


def _heaviest(server: Server, database: Database) -> tuple[str, str]:
    """Return the path of the page that takes longest, and the header to read it with."""
    header = signed_in.cookie(database)
    took = {
        path: page(server.url + path, seconds=1, header=header).p50
        for path in ("/", "/applications/1", "/channels")
    }
    return max(took, key=lambda path: took[path]), header


def _round(
    split: Split,
    database: Database,
    heaviest: tuple[str, str],
    there: Receivers,
    number: int,
) -> None:
    def alone() -> contextlib.AbstractContextManager[object]:
        return contextlib.nullcontext()

    def reloaded() -> contextlib.AbstractContextManager[object]:
        path, header = heaviest
        return reloading(
            split.web.url + path, connections=READERS, seconds=SECONDS + 1, header=header
        )

    def told() -> contextlib.AbstractContextManager[object]:
        return _alerts(database, there, APPLICATIONS + 1 + number * ALERTS)

    cases: dict[str, Callable[[], contextlib.AbstractContextManager[object]]] = {
        "alone": alone,
        "while pages are reloaded": reloaded,
        "while alerts go out": told,
    }
    for case, meanwhile in cases.items():
        with (
            meanwhile(),
            beating(
                split.recorder.url,
                applications=APPLICATIONS,
                connections=CONNECTIONS,
                seconds=SECONDS,
            ) as running,
        ):
            pass
        split.loads.setdefault(case, []).append(running.load)


@contextlib.contextmanager
def _alerts(database: Database, there: Receivers, first: int) -> Iterator[None]:
    """Let applications fall silent soon after the context is entered; leave once all are told."""
    project = data.project_of(database)
    there.arrivals()
    urls = [f"{there.urls[number % RECEIVERS]}/{number}" for number in range(ALERTS)]
    beat = data.now()
    data.add_applications(
        database, project, ALERTS, first=first, interval=INTERVAL, last_heartbeat=beat
    )
    data.add_webhooks(database, project, urls, applications=ALERTS, first=first)
    due = beat + timedelta(seconds=INTERVAL)
    # The load begins just before the deadline.
    receivers.sleep_until(due - timedelta(seconds=0.5))
    yield
    there.wait_for(ALERTS, seconds=PATIENCE)


def _table(split: Split, words: str, heaviest: tuple[str, str]) -> Table:
    table = Table(
        f"{words}, {split.name}",
        ["", "heartbeats/s", "of alone", "p50", "p99", "slowest"],
        note=f"The heaviest page was `{heaviest[0]}`.",
    )
    for case, loads in split.loads.items():
        table.rows.append(
            [
                case,
                count(split.rate(case)),
                ratio(split.rate(case) / split.rate("alone")),
                ms(median(load.p50 for load in loads)),
                ms(split.p99(case)),
                ms(median(load.slowest for load in loads)),
            ]
        )
    return table


def _budgets(split: Split, words: str, *, parts: bool) -> list[Budget]:
    reading, telling = "while pages are reloaded", "while alerts go out"
    share, floor = split.rate(reading) / split.rate("alone"), 0.7 if parts else 0.25
    slow = split.p99(reading)
    return [
        Budget(
            f"heartbeats while {READERS} clients reload the heaviest page, {words}, {split.name}",
            f">= {floor} x of alone" + ("" if parts else ", p99 <= 100 ms"),
            f"{ratio(share)} x, p99 {ms(slow)}",
            share >= floor and (parts or slow <= 0.1),
        ),
        Budget(
            f"heartbeats while {ALERTS:,} alerts go out, {words}, {split.name}",
            "p99 <= 100 ms",
            ms(split.p99(telling)),
            split.p99(telling) <= 0.1,
        ),
    ]

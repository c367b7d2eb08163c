"""Recording with few and many applications, and with an empty and a long history."""

import contextlib
from dataclasses import dataclass, field

from bench import data
from bench.load import Load, heartbeats
from bench.numbers import count, median, ms, ratio
from bench.report import Budget, Table, Topic
from bench.running import DIALECTS, Bench, Server, service
from bench.scale import APPLICATIONS

CONNECTIONS = 64
DEARER = 1.3
"""What a heartbeat may cost among many applications, in units of what it costs among few."""


@dataclass
class Size:
    """A service with so much in its database."""

    name: str
    applications: int
    server: Server
    loads: list[Load] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def run(self, seconds: float) -> None:
        before = self.server.cpu_seconds()
        load = heartbeats(
            self.server.url,
            applications=self.applications,
            connections=CONNECTIONS,
            seconds=seconds,
        )
        self.cpu.append((self.server.cpu_seconds() - before) / load.requests * 1000)
        self.loads.append(load)

    @property
    def rate(self) -> float:
        return median(load.rate for load in self.loads)


def measure(bench: Bench) -> Topic:
    many = bench.scale.many_applications
    topic = Topic(
        "Recording as it grows",
        f"The same load of {CONNECTIONS} connections on services that differ in what their database "
        "holds. Each first gets a round that isn't counted. With many applications most heartbeats of "
        "a round are the first of their application since the start, which are dearer.",
    )
    for dialect, words in DIALECTS.items():
        rows = bench.scale.history_rows
        if dialect == "sqlite":
            rows = bench.scale.history_rows_sqlite
        with contextlib.ExitStack() as stack:
            sizes = [
                _started(bench, stack, dialect, applications, history)
                for applications, history in ((APPLICATIONS, 0), (many, 0), (APPLICATIONS, rows))
            ]
            for size in sizes:
                size.run(bench.scale.seconds)
                size.loads.clear()
                size.cpu.clear()
            for _ in range(bench.scale.rounds):
                for size in sizes:
                    size.run(bench.scale.seconds)
            topic.tables.append(_table(sizes, words))
            few, grown, _ = sizes
            dearer = few.rate / grown.rate
            topic.budgets.append(
                Budget(
                    f"heartbeat cost at {many:,} applications against {APPLICATIONS:,}, {words}",
                    f"<= {DEARER} x",
                    f"{ratio(dearer)} x",
                    dearer <= DEARER,
                )
            )
    return topic


def _started(
    bench: Bench, stack: contextlib.ExitStack, dialect: str, applications: int, history: int
) -> Size:
    url = stack.enter_context(bench.empty_database(dialect))
    with bench.opened(url) as database:
        data.add_applications(database, data.migrated(database), applications)
        if history:
            data.add_history(database, history, applications=applications)
    name = f"{applications:,} applications, {history:,} heartbeats before"
    return Size(name, applications, stack.enter_context(service(url)))


def _table(sizes: list[Size], words: str) -> Table:
    table = Table(words, ["", "heartbeats/s", "of the first", "p50", "p99", "CPU s / 1,000"])
    for size in sizes:
        table.rows.append(
            [
                size.name,
                count(size.rate),
                ratio(size.rate / sizes[0].rate),
                ms(median(load.p50 for load in size.loads)),
                ms(median(load.p99 for load in size.loads)),
                f"{median(size.cpu):.3f}",
            ]
        )
    return table

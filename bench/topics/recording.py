"""Durable heartbeats per second, beside one commit per request and beside the bare server."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from bench import data
from bench.baselines import commit_per_request as plain
from bench.load import Load, heartbeats
from bench.numbers import count, median, ms, ratio
from bench.report import Budget, Table, Topic
from bench.running import DIALECTS, Bench, Postgres, Server, commit_per_request, constant, service
from bench.scale import APPLICATIONS

THREADS = 16
"""Of the baseline, which is one process as the service is; from 8 to 64 it made no difference."""
CONNECTIONS = (64, 256)
BODIES = (0, 1024)
_CONSTANT = "the bare server"


@dataclass
class Contender:
    """One of the things compared."""

    name: str
    server: Server
    stored: Callable[[], int] | None
    """Counts what its database holds."""
    accepted: int = 0
    broken: int = 0
    """Requests whose connection failed: their heartbeats may be stored or not."""
    loads: dict[tuple[int, int], list[Load]] = field(default_factory=dict)
    """By connections and body bytes, one a round."""
    cpu: dict[tuple[int, int], list[float]] = field(default_factory=dict)
    """Processor seconds per 1,000 heartbeats, likewise."""
    database: Postgres | None = None
    database_cpu: dict[tuple[int, int], list[float]] = field(default_factory=dict)
    """Likewise, of PostgreSQL's processes."""
    memory: float = 0

    def run(self, connections: int, body_bytes: int, seconds: float) -> None:
        before = self._cpu_seconds()
        load = heartbeats(
            self.server.url,
            applications=APPLICATIONS,
            connections=connections,
            seconds=seconds,
            body_bytes=body_bytes,
        )
        used, database_used = (b - a for a, b in zip(before, self._cpu_seconds(), strict=True))
        if load.refused or not load.requests:
            raise RuntimeError(
                f"{self.name} refused heartbeats: {load}\n{self.server.log()[-2000:]}"
            )
        key = (connections, body_bytes)
        self.accepted += load.requests
        self.broken += load.broken
        self.loads.setdefault(key, []).append(load)
        self.cpu.setdefault(key, []).append(used / load.requests * 1000)
        self.database_cpu.setdefault(key, []).append(database_used / load.requests * 1000)
        self.memory = max(self.memory, self.server.memory_mib())

    def _cpu_seconds(self) -> tuple[float, float]:
        return self.server.cpu_seconds(), self.database.cpu_seconds() if self.database else 0

    def rate(self, key: tuple[int, int]) -> float:
        return median(load.rate for load in self.loads[key])


def measure(bench: Bench) -> Topic:
    topic = Topic(
        "Recording heartbeats",
        f"{APPLICATIONS:,} applications at random, POST, keep-alive connections; each 2xx means that the "
        "heartbeat is committed. *One commit per request* is Flask with one SQLAlchemy ORM session and "
        f"one commit for each request, on gunicorn with {THREADS} threads "
        "(`bench/baselines/commit_per_request.py`). *The bare server* is our own server and edge "
        "with nothing behind them: it answers a constant (`bench/baselines/constant.py`). Each is one "
        "process; what a second one brings is told below.",
    )
    with contextlib.ExitStack() as stack:
        contenders = _start(bench, stack)
        for contender in contenders:
            contender.run(CONNECTIONS[0], 0, 0.5)
            contender.loads.clear()
            contender.cpu.clear()
        for connections in CONNECTIONS:
            for body_bytes in BODIES:
                for _ in range(bench.scale.rounds):
                    for contender in contenders:
                        contender.run(connections, body_bytes, bench.scale.seconds)
        for connections in CONNECTIONS:
            for body_bytes in BODIES:
                topic.tables.append(_table(contenders, connections, body_bytes))
        topic.tables.append(_kept(contenders))
        _budgets(topic, {contender.name: contender for contender in contenders})
        topic.budgets.append(_half_load(bench, contenders))
    return topic


def _start(bench: Bench, stack: contextlib.ExitStack) -> list[Contender]:
    contenders = [Contender(_CONSTANT, stack.enter_context(constant()), None)]
    for dialect, words in DIALECTS.items():
        server = bench.postgres if dialect == "postgresql" else None
        url = stack.enter_context(bench.empty_database(dialect))
        database = stack.enter_context(bench.opened(url))
        data.add_applications(database, data.migrated(database), APPLICATIONS)
        contenders.append(
            Contender(
                f"Heartbeat Central, {words}",
                stack.enter_context(service(url)),
                partial(data.scalar, database, "SELECT count(*) FROM heartbeats"),
                database=server,
            )
        )
        url = stack.enter_context(bench.empty_database(dialect))
        plain.fill(url, APPLICATIONS)
        baseline = stack.enter_context(bench.opened(url))
        contenders.append(
            Contender(
                f"one commit per request, {words}",
                stack.enter_context(commit_per_request(url, workers=1, threads=THREADS)),
                partial(data.scalar, baseline, "SELECT count(*) FROM heartbeats"),
                database=server,
            )
        )
    return contenders


def _table(contenders: list[Contender], connections: int, body_bytes: int) -> Table:
    key = (connections, body_bytes)
    body = f"a body of {body_bytes} bytes" if body_bytes else "no body"
    constant_rate = contenders[0].rate(key)
    table = Table(
        f"{connections} connections, {body}",
        ["", "heartbeats/s", "of the bare server", "p50", "p99", "CPU s / 1,000", "database"],
        note="CPU: processor seconds of the server's own processes per 1,000 heartbeats, and those of "
        "PostgreSQL's; SQLite works inside the server.",
    )
    for contender in contenders:
        loads = contender.loads[key]
        table.rows.append(
            [
                contender.name,
                count(contender.rate(key)),
                ratio(contender.rate(key) / constant_rate),
                ms(median(load.p50 for load in loads)),
                ms(median(load.p99 for load in loads)),
                f"{median(contender.cpu[key]):.3f}",
                f"{median(contender.database_cpu[key]):.3f}" if contender.database else "-",
            ]
        )
    return table


def _kept(contenders: list[Contender]) -> Table:
    table = Table(
        "Accepted and stored",
        ["", "answered 2xx", "in the database", "memory under load"],
        note="Memory is that of the server's own processes, without PostgreSQL's.",
    )
    for contender in contenders:
        stored = contender.stored() if contender.stored else None
        most = contender.accepted + contender.broken
        # The baseline's threads may commit what is never answered, when the load ends meanwhile.
        is_ours = contender.name.startswith("Heartbeat Central")
        lost = stored is not None and stored < contender.accepted
        if lost or (stored is not None and is_ours and stored > most):
            raise RuntimeError(f"{contender.name}: {contender.accepted} accepted, {stored} stored")
        table.rows.append(
            [
                contender.name,
                count(contender.accepted),
                "-" if stored is None else count(stored),
                f"{contender.memory:.0f} MiB",
            ]
        )
    return table


def _budgets(topic: Topic, by_name: dict[str, Contender]) -> None:
    def rate(name: str, connections: int) -> float:
        return by_name[name].rate((connections, 0))

    for words, connections, of_baseline, of_constant in (
        ("PostgreSQL", 64, 20, 0.30),
        ("PostgreSQL", 256, None, 0.35),
        ("SQLite", 64, 15, 0.22),
    ):
        ours = rate(f"Heartbeat Central, {words}", connections)
        share = ours / rate(_CONSTANT, connections)
        times = ours / rate(f"one commit per request, {words}", connections)
        what = f"durable heartbeats/s, {words}, {connections} connections"
        if of_baseline:
            topic.budgets.append(
                Budget(
                    what,
                    f">= {of_baseline} x one commit per request",
                    f"{times:.1f} x",
                    times >= of_baseline,
                )
            )
        topic.budgets.append(
            Budget(
                what, f">= {of_constant:.2f} x the bare server", ratio(share), share >= of_constant
            )
        )


def _half_load(bench: Bench, contenders: list[Contender]) -> Budget:
    """Measure the p99 at half the rate that the service reached with 64 connections."""
    ours = next(one for one in contenders if one.name == "Heartbeat Central, PostgreSQL")
    connections = CONNECTIONS[0]
    busy = ours.loads[connections, 0]
    # Each connection sends, waits for its answer, and then pauses as long as that took.
    pause = max(
        0.001, 2 * connections / ours.rate((connections, 0)) - median(x.p50 for x in busy) / 2
    )
    loads = [
        heartbeats(
            ours.server.url,
            applications=APPLICATIONS,
            connections=connections,
            seconds=bench.scale.seconds,
            pause=pause,
        )
        for _ in range(bench.scale.rounds)
    ]
    p99 = median(load.p99 for load in loads)
    reached = median(load.rate for load in loads)
    return Budget(
        "p99 of a heartbeat at half that load, PostgreSQL",
        "<= 25 ms",
        f"{ms(p99)} at {count(reached)}/s",
        p99 <= 0.025,
    )

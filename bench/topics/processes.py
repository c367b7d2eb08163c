"""Several processes on one PostgreSQL: what a second worker brings."""

import contextlib

from bench import data
from bench.baselines import commit_per_request as plain
from bench.load import Load, heartbeats
from bench.numbers import count, median, ms
from bench.report import Table, Topic
from bench.running import Bench, Server, commit_per_request, service
from bench.scale import APPLICATIONS

CONNECTIONS = (64, 256)


THREADS = 16
"""Of each worker of the baseline."""


def measure(bench: Bench) -> Topic:
    topic = Topic(
        "Several processes",
        "`serve --workers N` on one PostgreSQL, and the baseline that commits each request, in turns. "
        "Load, workers and database share this machine's cores: where one worker, its database and the "
        "load already keep them busy, a second one can't bring more.",
    )
    loads: dict[tuple[str, int], list[Load]] = {}
    memory: dict[str, float] = {}
    with contextlib.ExitStack() as stack:
        servers = _started(bench, stack)
        for counted in (False, *([True] * bench.scale.rounds)):
            for connections in CONNECTIONS:
                for name, server in servers.items():
                    load = heartbeats(
                        server.url,
                        applications=APPLICATIONS,
                        connections=connections,
                        seconds=bench.scale.seconds,
                    )
                    if counted:
                        loads.setdefault((name, connections), []).append(load)
                    memory[name] = server.memory_mib()
    for connections in CONNECTIONS:
        table = Table(f"{connections} connections", ["", "heartbeats/s", "p50", "p99", "memory"])
        for name in servers:
            these = loads[name, connections]
            table.rows.append(
                [
                    name,
                    count(median(load.rate for load in these)),
                    ms(median(load.p50 for load in these)),
                    ms(median(load.p99 for load in these)),
                    f"{memory[name]:.0f} MiB",
                ]
            )
        topic.tables.append(table)
    return topic


def _started(bench: Bench, stack: contextlib.ExitStack) -> dict[str, Server]:
    servers = {}
    for workers in (1, 2):
        words = "1 worker" if workers == 1 else f"{workers} workers"
        url = stack.enter_context(bench.empty_database("postgresql"))
        with bench.opened(url) as database:
            data.add_applications(database, data.migrated(database), APPLICATIONS)
        servers[f"Heartbeat Central, {words}"] = stack.enter_context(
            service(url, "--workers", str(workers))
        )
    for workers in (1, 2):
        words = "1 worker" if workers == 1 else f"{workers} workers"
        url = stack.enter_context(bench.empty_database("postgresql"))
        plain.fill(url, APPLICATIONS)
        servers[f"one commit per request, {words}"] = stack.enter_context(
            commit_per_request(url, workers=workers, threads=THREADS)
        )
    return servers

"""Several processes on one PostgreSQL: what a second worker brings."""

import contextlib

from bench import data
from bench.load import Load, heartbeats
from bench.numbers import count, median, ms, ratio
from bench.report import Table, Topic
from bench.running import Bench, service
from bench.scale import APPLICATIONS

CONNECTIONS = (64, 256)


def measure(bench: Bench) -> Topic:
    topic = Topic(
        "Several processes",
        "`serve --workers N` on one PostgreSQL, in turns. Load, workers and database share this "
        "machine's cores: where one worker, its database and the load already keep them busy, a second "
        "one can't bring more.",
    )
    loads: dict[tuple[int, int], list[Load]] = {}
    memory = {}
    with contextlib.ExitStack() as stack:
        servers = {}
        for workers in (1, 2):
            url = stack.enter_context(bench.empty_database("postgresql"))
            with bench.opened(url) as database:
                data.add_applications(database, data.migrated(database), APPLICATIONS)
            servers[workers] = stack.enter_context(service(url, "--workers", str(workers)))
        for counted in (False, *([True] * bench.scale.rounds)):
            for connections in CONNECTIONS:
                for workers, server in servers.items():
                    load = heartbeats(
                        server.url,
                        applications=APPLICATIONS,
                        connections=connections,
                        seconds=bench.scale.seconds,
                    )
                    if counted:
                        loads.setdefault((connections, workers), []).append(load)
                    memory[workers] = server.memory_mib()
    for connections in CONNECTIONS:
        table = Table(
            f"{connections} connections", ["", "heartbeats/s", "of one", "p50", "p99", "memory"]
        )
        one = median(load.rate for load in loads[connections, 1])
        for workers in servers:
            these = loads[connections, workers]
            rate = median(load.rate for load in these)
            table.rows.append(
                [
                    f"{workers} worker{'s' if workers > 1 else ''}",
                    count(rate),
                    ratio(rate / one),
                    ms(median(load.p50 for load in these)),
                    ms(median(load.p99 for load in these)),
                    f"{memory[workers]:.0f} MiB",
                ]
            )
        topic.tables.append(table)
    return topic

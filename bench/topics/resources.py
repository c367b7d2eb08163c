"""Memory at rest and under load, and the time from its start to the first 200."""

import time

from bench import data
from bench.load import heartbeats
from bench.numbers import median, s
from bench.report import Budget, Table, Topic
from bench.running import DIALECTS, Bench, constant, service
from bench.scale import APPLICATIONS

IDLE = 120
"""MiB."""
SETTLE = 3
"""Seconds after the start, so that all jobs have run once."""


def measure(bench: Bench) -> Topic:
    topic = Topic(
        "Memory and start-up",
        "One process that does all the work. Memory is PSS, in which shared pages count once. *First "
        "start* makes the tables; *next start* finds them, with "
        f"{APPLICATIONS:,} applications. *The bare server* is the edge with nothing behind it.",
    )
    table = Table(
        "Memory and seconds to the first 200",
        ["", "first start", "next start", "memory at rest", "CPU at rest", "after load"],
        note="CPU at rest: seconds of processor time per minute. Load: 256 connections.",
    )
    for dialect, words in DIALECTS.items():
        first, again, rest, idle_cpu, loaded = [], [], [], [], []
        for _ in range(bench.scale.slow_rounds):
            with bench.empty_database(dialect) as url, bench.opened(url) as database:
                with service(url) as server:
                    first.append(server.started_in)
                data.add_applications(database, data.migrated(database), APPLICATIONS)
                with service(url) as server:
                    again.append(server.started_in)
                    time.sleep(SETTLE)
                    rest.append(server.memory_mib())
                    before = server.cpu_seconds()
                    time.sleep(SETTLE)
                    idle_cpu.append((server.cpu_seconds() - before) / SETTLE * 60)
                    heartbeats(
                        server.url,
                        applications=APPLICATIONS,
                        connections=256,
                        seconds=bench.scale.seconds,
                    )
                    loaded.append(server.memory_mib())
        table.rows.append(
            [
                f"Heartbeat Central, {words}",
                s(median(first)),
                s(median(again)),
                f"{median(rest):.0f} MiB",
                s(median(idle_cpu)),
                f"{median(loaded):.0f} MiB",
            ]
        )
        topic.budgets.append(
            Budget(
                f"memory, idle single process, {words}",
                f"<= {IDLE} MiB",
                f"{median(rest):.0f} MiB",
                median(rest) <= IDLE,
            )
        )
    with constant() as server:
        memory = f"{server.memory_mib():.0f} MiB"
        table.rows.append(["the bare server", "-", s(server.started_in), memory, "-", "-"])
    topic.tables.append(table)
    return topic

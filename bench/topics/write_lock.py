"""How long each kind of background work holds SQLite's one write lock, for which heartbeats wait."""

import gc
import logging
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import structlog
from sqlalchemy import text

from bench import data
from bench.holding import Held, WatchedTurns, watch
from bench.numbers import count, median, ms, percentile
from bench.report import Budget, Table, Topic
from bench.running import Bench
from bench.scale import APPLICATIONS
from heartbeat_central.domain.bulkhead import Bulkheads
from heartbeat_central.domain.rollup import Span
from heartbeat_central.domain.signal import Signal, SignalKind
from heartbeat_central.domain.step_size import StepSize
from heartbeat_central.ingest.server import COLLECT_AFTER, SWITCH_INTERVAL
from heartbeat_central.monitor.jobs import REST, SMALLEST_SWEEP, SWEEP_SECONDS
from heartbeat_central.services.deliver_alerts import claim_due
from heartbeat_central.services.detect_missed import BATCH as BATCH_OF_DETECTOR
from heartbeat_central.services.detect_missed import detect_missed
from heartbeat_central.services.prune_history import prune_history
from heartbeat_central.services.record_outcomes import Outcome, record_outcomes
from heartbeat_central.services.recorder import Recorder
from heartbeat_central.services.roll_up_downtime import roll_up_downtime
from heartbeat_central.services.roll_up_history import RollUp
from heartbeat_central.storage.engine import Database
from heartbeat_central.storage.log_sqlite import move_log
from heartbeat_central.storage.outbox import DeliveryStatus
from heartbeat_central.storage.touch_stores import open_touch_store

BATCH = 64
OVERDUE = 3_000
"""Applications that the detector finds; ten seconds apart, so that they are no storm."""
OLD_ALERTS = 20_000
CHANNELS = 128
AT_MOST = 0.05
"""Seconds that a step may hold the lock."""
HEARTBEATS = f"a batch of {BATCH} heartbeats"
BACKLOG = 20_000
"""Heartbeats that wait to be rolled up, each in an hour of its own."""
PRUNING = ("pruning alerts and deliveries", "pruning heartbeats")
ROLLING_UP = ("rolling up heartbeats", "rolling up outages")
MOVING = "moving the log, its last pages"
BASE_URL = "http://127.0.0.1:5000"
KEEP_DAYS = 30


def measure(bench: Bench) -> Topic:
    topic = Topic(
        "SQLite's write lock",
        f"One thread records batches of {BATCH} heartbeats of {APPLICATIONS:,} applications as fast as it "
        "can, and one kind of background work after the other is done beside it, as the service does it. "
        "Noted is how long each turn holds the one lock that all writing needs, its commit and flush "
        "included. *A bare write* is a plain file that gets as many bytes as that turn handed to the "
        "kernel, and is flushed once, right after the turn and without the lock.",
    )
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    with bench.empty_database("sqlite") as url, bench.opened(url) as database:
        _fill(database, bench.scale.history_rows_sqlite)
        turns = watch(database, Path(url.removeprefix("sqlite:///")).parent)
        with _as_the_service(), _moving_the_log(database, turns), _recording(database, turns):
            _work(database, turns, seconds=3 * bench.scale.rounds * bench.scale.seconds)
    topic.tables.append(_table(turns.held))
    topic.budgets.append(_budget(turns.held))
    return topic


@contextmanager
def _as_the_service() -> Iterator[None]:
    """Have Python change threads as often, and look for garbage as seldom, as where the service runs."""
    interval, thresholds = sys.getswitchinterval(), gc.get_threshold()
    sys.setswitchinterval(SWITCH_INTERVAL)
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)
    try:
        yield
    finally:
        sys.setswitchinterval(interval)
        gc.unfreeze()
        gc.set_threshold(*thresholds)


def _fill(database: Database, history: int) -> None:
    project = data.migrated(database)
    data.add_applications(database, project, APPLICATIONS)
    data.add_applications(
        database,
        project,
        OVERDUE,
        first=APPLICATIONS + 1,
        last_heartbeat=data.now() - timedelta(days=2),
        spread=timedelta(seconds=10) * OVERDUE,
    )
    addresses = ["http://127.0.0.1:9/"] * CHANNELS
    data.add_webhooks(database, project, addresses, applications=OVERDUE, first=APPLICATIONS + 1)
    data.add_history(database, history, applications=APPLICATIONS)
    with database.write() as connection:
        for statement in _OLD_ALERTS:
            values = {"project": project, "many": OLD_ALERTS, "old": _MICROSECONDS_OLD}
            needed = {name: value for name, value in values.items() if f":{name}" in statement}
            connection.execute(text(statement), needed)
        connection.execute(
            text("UPDATE rollup_progress SET rolled_id = rolled_id - :backlog"),
            {"backlog": BACKLOG},
        )


def _work(database: Database, turns: WatchedTurns, *, seconds: float) -> None:
    """Do each kind of work for a while, or as much of it as there is."""
    with turns.at("judging overdue applications", bare=True):
        _judge(database)
    _deliver(database, turns)
    with turns.at(PRUNING[0], bare=True):
        _until(seconds, lambda: _prune(database, keep_days=KEEP_DAYS))
    rolling_up = RollUp(database)
    with turns.at(ROLLING_UP[0], bare=True):
        _until(seconds, lambda: rolling_up.step(now=data.now()) <= data.now(), rest=REST["sqlite"])
    with turns.at(ROLLING_UP[1], bare=True):
        _count_outages(database, seconds)
    with database.write() as connection:
        connection.execute(
            text("UPDATE rollup_progress SET rolled_id = (SELECT max(id) FROM heartbeats)")
        )
    with turns.at(PRUNING[1], bare=True):
        _until(seconds, lambda: _prune(database, keep_days=1))


def _judge(database: Database) -> None:
    """Judge all that is overdue, in steps of the monitor's size."""
    most = BATCH_OF_DETECTOR["sqlite"]
    size = StepSize(first=most // 2, least=SMALLEST_SWEEP, most=most)
    more = True
    while more:
        swept = detect_missed(database, now=data.now(), base_url=BASE_URL, most=size.rows)
        size.took(swept.held, of=SWEEP_SECONDS["sqlite"], rows=swept.judged)
        more = swept.more


def _count_outages(database: Database, seconds: float) -> None:
    reached: int | None = 0

    def step() -> bool:
        nonlocal reached
        reached = roll_up_downtime(
            database, until=Span.HOUR.start(data.now()), after_id=reached or 0
        )
        return reached is not None

    _until(seconds, step, rest=REST["sqlite"])


def _until(seconds: float, step: Callable[[], bool], *, rest: float = 0.0) -> None:
    """Do step after step for so long, or until there is no more; rest as the monitor does."""
    end = time.monotonic() + seconds
    more = True
    while more and time.monotonic() < end:
        begun = time.monotonic()
        more = step()
        time.sleep(rest * (time.monotonic() - begun))


def _prune(database: Database, *, keep_days: int) -> bool:
    return prune_history(database, now=data.now(), keep_days=keep_days).more


def _deliver(database: Database, turns: WatchedTurns) -> None:
    """Claim what the detector has made up, and record that it was delivered, in batches."""
    bulkheads = Bulkheads()
    while True:
        now = data.now()
        with turns.at("claiming deliveries", bare=True):
            claimed = claim_due(database, bulkheads, now=now, most=100)
        if not claimed:
            return
        for one in claimed:
            bulkheads.started(one.channel_id)
        outcomes = [
            Outcome(
                claimed=one,
                status=DeliveryStatus.DELIVERED,
                started_at=now,
                finished_at=now,
                detail="200",
            )
            for one in claimed
        ]
        with turns.at("recording what came of deliveries", bare=True):
            record_outcomes(database, outcomes)
        for one in claimed:
            bulkheads.ended(one.channel_id, well=True)


@contextmanager
def _recording(database: Database, turns: WatchedTurns) -> Iterator[None]:
    """Record batches of heartbeats for as long as this lasts."""
    touches = open_touch_store(database)
    recorder = Recorder(database, touches, base_url=BASE_URL)
    uuids = [data.uuid_of(number + 1) for number in range(APPLICATIONS)]
    over = threading.Event()

    def record() -> None:
        chance = random.Random(1)
        with turns.at(HEARTBEATS):
            while not over.is_set():
                now = data.now()
                chosen = chance.sample(uuids, BATCH)
                recorder.record(
                    [Signal(uuid=one, kind=SignalKind.SUCCESS, received_at=now) for one in chosen],
                    now=now,
                )
        touches.close()

    with _thread(record, over.set):
        yield


@contextmanager
def _moving_the_log(database: Database, turns: WatchedTurns) -> Iterator[None]:
    """Move the log into the file whenever it is long, as the monitor does."""
    rung, over = threading.Event(), threading.Event()
    database.log.when_long(rung.set)

    def move() -> None:
        with turns.at(MOVING, bare=True):
            while True:
                rung.wait()
                rung.clear()
                if over.is_set():
                    return
                move_log(database)

    def stop() -> None:
        over.set()
        rung.set()

    with _thread(move, stop):
        yield


@contextmanager
def _thread(work: Callable[[], None], stop: Callable[[], None]) -> Iterator[None]:
    running = threading.Thread(target=work, daemon=True)
    running.start()
    try:
        yield
    finally:
        stop()
        running.join()


def _table(held: dict[str, Held]) -> Table:
    table = Table(
        "Turns at the lock",
        ["", "turns", "p50", "p99", "longest", "written", "a bare write, p50", "p99", "longest"],
        note="Written: KiB, the median. All of it shares the disk, two cores and Python's lock with the "
        "thread that records.",
    )
    for work, one in held.items():
        if one.seconds:
            table.rows.append(
                [
                    work,
                    count(len(one.seconds)),
                    *_spread(one.seconds),
                    count(median(one.written) / 1024),
                    *(_spread(one.bare) if one.bare else ["-"] * 3),
                ]
            )
    return table


def _spread(seconds: list[float]) -> list[str]:
    return [ms(median(seconds)), ms(percentile(seconds, 99)), ms(max(seconds))]


def _budget(held: dict[str, Held]) -> Budget:
    """Judge what is done in bounded steps; moving the log is what pruning and rolling up leave to do."""
    work = [held[name] for name in (*PRUNING, *ROLLING_UP, MOVING)]
    seconds = [second for one in work for second in one.seconds]
    bare = [second for one in work for second in one.bare]
    longest = max(seconds)
    return Budget(
        "a step of pruning, rolling up or moving the log holds SQLite's write lock",
        f"<= {ms(AT_MOST)}",
        f"p99 {ms(percentile(seconds, 99))}, longest {ms(longest)} (a bare write of as much: "
        f"{ms(percentile(bare, 99))}, {ms(max(bare))}; {HEARTBEATS}: "
        f"{ms(percentile(held[HEARTBEATS].seconds, 99))}, {ms(max(held[HEARTBEATS].seconds))})",
        longest <= AT_MOST,
    )


_MICROSECONDS_OLD = int((data.now() - timedelta(days=60)).timestamp() * 1_000_000)
_OLD_ALERTS = (
    """
    INSERT INTO alerts (project_id, kind, snapshot, created_at)
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :many)
    SELECT :project, 'test', '{}', :old + i FROM n
    """,
    """
    INSERT INTO deliveries (uuid, alert_id, channel_id, status, attempt, finished_at, created_at)
    SELECT printf('%032x', id), id, 1 + id % 128, 'delivered', 1, created_at, created_at FROM alerts
    """,
    """
    INSERT INTO delivery_attempts (delivery_id, attempt, started_at, finished_at, outcome, detail)
    SELECT id, 1, created_at, created_at, 'ok', '' FROM deliveries
    """,
)

"""The monitor of a service on SQLite moves the log into the file, so that no commit has to."""

from datetime import UTC, datetime

from sqlalchemy import text

from heartbeat_central.metrics import Metrics
from heartbeat_central.monitor.jobs import Monitor
from heartbeat_central.services.deliver_alerts import Sender
from heartbeat_central.storage.engine_sqlite import LONG_LOG
from tests.support.service import wait_until
from tests.support.world import BASE_URL, World, on_sqlite

MANY = text("""
    INSERT INTO heartbeats (application_id, kind, received_at, method, body_size)
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :many)
    SELECT i, 0, 0, 'POST', 0 FROM n
""")


@on_sqlite
def test_a_long_log_is_moved(world: World) -> None:
    failed: list[str] = []

    def report(job: str, _at: datetime, problem: str | None) -> None:
        if problem is not None:
            failed.append(f"{job}: {problem}")

    monitor = Monitor(
        database=world.database,
        unhurried=world.database,
        sender=Sender(world.database, world.registry, world.secret_box, world.outbound),
        clock=lambda: datetime.now(UTC),
        proven_until=lambda _: None,
        base_url=BASE_URL,
        check_interval=30,
        retention_days=90,
        reaches_out=lambda: True,
        report=report,
        on_waiting=lambda _: None,
        metrics=Metrics(),
    )
    monitor.start()
    try:
        for _ in range(2):
            with world.database.write() as connection:
                connection.execute(MANY, {"many": LONG_LOG})
            wait_until(lambda: not world.database.log.is_long, "the log to be moved")
    finally:
        monitor.stop()
    assert failed == []

"""After the clock was set back: what waits for times still to come must not wait that much longer."""

from datetime import datetime

import structlog

from heartbeat_central.storage import blind_windows, leases, states, storms
from heartbeat_central.storage.engine import Database

STEP = 1_000
"""Applications in one transaction: few enough that heartbeats don't wait for it."""

log = structlog.get_logger(__name__)


def settle_clock(database: Database, *, now: datetime) -> bool:
    """Follow up each setback of the clock that was noticed; return whether there was one.

    Every application is judged anew: one that was heard from at a time that is still to come counts
    from now on, and time that was granted for a window ahead of the clock is taken back. Deliveries
    wait as long as before, and digests of storms no longer. After a crash this begins again.
    """
    with database.read() as connection:
        windows = blind_windows.to_settle(connection)
    for window in windows:
        last: int | None = 0
        while last is not None:
            with database.write() as connection:
                last = states.make_due(connection, now=now, after_id=last, most=STEP)
        assert window.id is not None
        with database.write() as connection:
            # Another process may have been faster; nothing may be moved twice.
            if blind_windows.settled(connection, window.id, now=now):
                storms.make_due(connection, now)
                leases.set_back(connection, now=now, by=window.length)
                log.info("clock_settled", by=window.length.total_seconds())
    return bool(windows)

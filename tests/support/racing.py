"""Two transactions at the same time, told apart by who must wait for whom."""

import contextlib
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from sqlalchemy import Connection, text

from heartbeat_central.storage.engine import Database

_Result = TypeVar("_Result")
_SECONDS = 10
_BLOCKED = text(
    "SELECT count(*) FROM pg_stat_activity"
    " WHERE datname = current_database() AND wait_event_type = 'Lock'"
)


@contextlib.contextmanager
def meanwhile(
    database: Database, act: Callable[[Connection], _Result]
) -> Iterator[Future[_Result]]:
    """Run `act` in a transaction of its own, and enter once it waits for a lock of the caller's.

    The caller holds that lock in another one, and has to end that before this block ends. On SQLite the
    second transaction waits to begin.
    """

    def run() -> _Result:
        with database.write() as connection:
            return act(connection)

    with waiting(database, run) as future:
        yield future


@contextlib.contextmanager
def waiting(database: Database, call: Callable[[], _Result]) -> Iterator[Future[_Result]]:
    """The same for a call that makes its transactions itself."""
    with ThreadPoolExecutor(1) as other:
        future = other.submit(call)
        if database.dialect == "postgresql":
            _until_blocked(database, future)
        yield future


def _until_blocked(database: Database, future: "Future[_Result]") -> None:
    end = time.monotonic() + _SECONDS
    while time.monotonic() < end:
        with database.read() as connection:
            if connection.execute(_BLOCKED).scalar_one():
                return
        assert not future.done(), f"it had to wait for nobody: {future}"
        time.sleep(0.005)
    raise AssertionError("it neither waits nor ends")

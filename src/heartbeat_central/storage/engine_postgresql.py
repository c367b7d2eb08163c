"""Connections to PostgreSQL, and when to give one up.

Three things can happen to a connection that is waited on. The server takes too long: it ends the statement
itself. The host is gone or the network drops everything: TCP notices, by its keepalives and its user
timeout. Something on the way goes on acknowledging bytes, a proxy or the kernel under a server that hangs:
only the end of our own patience helps then.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import psycopg
from psycopg import conninfo
from psycopg.abc import PQGen
from psycopg.errors import OperationalError
from sqlalchemy import Connection, Engine, create_engine, event, func, select, text
from sqlalchemy.engine import URL

from heartbeat_central.domain.errors import Invalid

CONNECT_TIMEOUT = 2
"""Seconds, so that an absent server is told as such and not as a hanging request."""
STATEMENT_TIMEOUT = 30
"""Seconds after which the server ends a statement of ours; none of them should take one."""
ALLOWANCE = 1
"""Seconds more until we count a server as hanging that has neither answered nor ended a statement."""
PING_TIMEOUT = 2
"""Seconds for a connection that lay idle to show that it still works."""
IDLE_IN_TRANSACTION = 15
"""Seconds after which the server ends a transaction of a process that has stopped in the middle: others
wait for its locks."""
_TCP = {
    "tcp_user_timeout": 5_000,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 2,
}
"""Milliseconds that sent data may lack an acknowledgement; seconds of silence until TCP asks, and between
two times that it does."""

T = TypeVar("T")


class PatientConnection(psycopg.Connection[Any]):
    """A connection that breaks when the server keeps silent for longer than `patience` seconds."""

    patience: float | None = PING_TIMEOUT

    def wait(self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:
        """Wait as psycopg does. Raises ServerHangs, the connection closed, after `patience`."""
        if timeout is not None or self.patience is None:
            return super().wait(gen, interval, timeout)
        try:
            return super().wait(gen, interval, self.patience)
        except OperationalError:
            if self.pgconn.transaction_status == psycopg.pq.TransactionStatus.ACTIVE:
                # It still owes an answer. Nobody must take that for the answer to a later question.
                self.pgconn.finish()
                raise ServerHangs(f"the server has said nothing for {self.patience:g} s") from None
            raise


class ServerHangs(OperationalError):
    """It has not answered in time, and nobody can tell whether it did what it was asked."""


def make_engine(url: URL, *, pool_size: int, patience: float) -> Engine:
    """Return an engine whose statements may take `patience` seconds each.

    Raises Invalid on field DATABASE_URL when the URL holds what PostgreSQL doesn't know.
    """
    try:
        conninfo.make_conninfo(**{name: str(value) for name, value in url.query.items()})
    except psycopg.ProgrammingError as error:
        raise Invalid.one("DATABASE_URL", f"holds an {str(error).strip()}; remove it") from error
    engine = create_engine(
        url,
        pool_size=pool_size,
        max_overflow=5,
        pool_timeout=2,
        pool_pre_ping=True,
        hide_parameters=True,
        connect_args={
            "connect_timeout": CONNECT_TIMEOUT,
            "application_name": "heartbeat-central",
            **_TCP,
        },
    )

    @event.listens_for(engine, "do_connect")
    def connect(_dialect: object, _record: object, args: Any, parameters: Any) -> PatientConnection:
        return _connect(patience, *args, **parameters)

    @event.listens_for(engine, "checkout")
    def be_patient(connection: PatientConnection, _record: object, _fairy: object) -> None:
        connection.patience = patience + ALLOWANCE

    @event.listens_for(engine, "checkin")
    def be_brief(connection: PatientConnection | None, _record: object) -> None:
        # The next thing asked of it is whether it still works.
        if connection is not None:
            connection.patience = PING_TIMEOUT

    return engine


def wait_for_ever(connection: Connection) -> None:
    """Let the statements of this transaction take as long as they take."""
    for name in ("statement_timeout", "idle_in_transaction_session_timeout"):
        connection.execute(text(f"SET LOCAL {name} = 0"))
    driver: Any = connection.connection.driver_connection
    driver.patience = None


@contextmanager
def without_end(connection: Connection) -> Iterator[None]:
    """Let statements that are each a transaction of their own take as long as they take."""
    usual = connection.execute(text("SHOW statement_timeout")).scalar_one()
    connection.execute(text("SET statement_timeout = 0"))
    driver: Any = connection.connection.driver_connection
    driver.patience = None
    try:
        yield
    finally:
        # It goes back to the pool.
        connection.execute(select(func.set_config("statement_timeout", usual, False)))


def _connect(patience: float, *args: Any, **parameters: Any) -> PatientConnection:
    connection = PatientConnection.connect(*args, **parameters)
    # Not as `options` of the connection: PgBouncer refuses those, or is told to leave them out.
    settings = {
        "timezone": "UTC",
        "statement_timeout": f"{patience:g}s",
        "idle_in_transaction_session_timeout": f"{IDLE_IN_TRANSACTION}s",
    }
    try:
        connection.autocommit = True
        connection.execute("; ".join(f"SET {name} = '{value}'" for name, value in settings.items()))
        connection.autocommit = False
    except psycopg.Error:
        connection.close()
        raise
    return connection

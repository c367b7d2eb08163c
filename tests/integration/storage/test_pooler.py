"""PgBouncer between the service and PostgreSQL: one connection a client, or one a transaction."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import text

from heartbeat_central.storage.engine import Database, open_database
from heartbeat_central.storage.pooler import is_pooled_by_transaction
from tests.support.pooler import pgbouncer


@contextmanager
def opened(url: str) -> Iterator[Database]:
    database = open_database(url)
    try:
        yield database
    finally:
        database.close()


def test_without_a_pooler_connections_are_our_own(database: Database) -> None:
    assert not is_pooled_by_transaction(database)


def test_through_a_pool_of_sessions_what_is_set_holds(postgres_url: str, tmp_path: Path) -> None:
    with (
        pgbouncer(tmp_path, postgres_url, "session") as url,
        opened(url) as database,
    ):
        assert not is_pooled_by_transaction(database)
        for _ in range(2):
            with database.read() as connection:
                for name, value in (("statement_timeout", "30s"), ("timezone", "UTC")):
                    assert connection.execute(text(f"SHOW {name}")).scalar() == value


def test_a_pool_of_transactions_is_recognised(postgres_url: str, tmp_path: Path) -> None:
    with (
        pgbouncer(tmp_path, postgres_url, "transaction") as url,
        opened(url) as database,
        opened(url) as another,
    ):
        assert is_pooled_by_transaction(database)
        # With connections in the pool that others have used, and while one of them is in use.
        with another.read() as first, another.read() as second:
            for connection in (first, second):
                connection.execute(text("SELECT 1"))
        assert is_pooled_by_transaction(database)
        with another.read() as connection:
            connection.execute(text("SELECT 1"))
            assert is_pooled_by_transaction(database)

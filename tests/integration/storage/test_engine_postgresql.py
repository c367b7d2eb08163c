"""Connections to a PostgreSQL that answers no more, and for how long they are waited on."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest
from sqlalchemy import text

from heartbeat_central.domain.errors import StorageUnavailable
from heartbeat_central.storage import engine_postgresql
from heartbeat_central.storage.engine import Connection, Database, open_database
from tests.faults.proxy import Proxy

PATIENCE = 0.2


@pytest.fixture
def proxy(postgres_url: str) -> Iterator[Proxy]:
    port = urlsplit(postgres_url).port
    assert port is not None
    with Proxy(port) as between:
        yield between


@pytest.fixture
def database(
    postgres_url: str, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Database]:
    """By way of the proxy, with little patience."""
    monkeypatch.setattr(engine_postgresql, "PING_TIMEOUT", 0.3)
    monkeypatch.setattr(engine_postgresql, "ALLOWANCE", 0.3)
    parts = urlsplit(postgres_url)
    credentials = parts.netloc.rpartition("@")[0]
    netloc = f"{credentials}@127.0.0.1:{proxy.port}"
    opened = open_database(urlunsplit(parts._replace(netloc=netloc)), patience=PATIENCE)
    yield opened
    opened.close()


def sleep(connection: Connection, seconds: float) -> None:
    connection.execute(text("SELECT pg_sleep(:seconds)"), {"seconds": seconds})


def test_a_statement_that_is_never_answered_breaks_its_connection(
    database: Database, proxy: Proxy
) -> None:
    def ask_twice() -> None:
        with database.write() as connection:
            sleep(connection, 0)
            proxy.black_hole("to_client")
            sleep(connection, 0)

    with pytest.raises(StorageUnavailable, match=r"said nothing for 0\.5 s"):
        ask_twice()
    proxy.heal()
    database.ping()


def test_a_statement_that_takes_too_long_is_ended_by_the_server(database: Database) -> None:
    with (
        pytest.raises(StorageUnavailable, match="statement timeout"),
        database.read() as connection,
    ):
        sleep(connection, 5)


def test_an_idle_connection_that_died_is_replaced(database: Database, proxy: Proxy) -> None:
    database.ping()
    proxy.black_hole()
    # Asked whether it works, it says nothing; neither does the server to a new one.
    with pytest.raises(StorageUnavailable, match="timeout"):
        database.ping()
    proxy.heal()
    database.ping()


def test_what_may_take_long_is_waited_for_and_only_that(database: Database) -> None:
    with database.snapshot() as connection:
        sleep(connection, 0.8)
    with pytest.raises(StorageUnavailable), database.read() as connection:
        sleep(connection, 0.8)


def test_both_ends_notice_when_the_other_is_gone(database: Database) -> None:
    with database.read() as connection:
        stopped = connection.execute(text("SHOW idle_in_transaction_session_timeout")).scalar()
        driver: Any = connection.connection.driver_connection
        ours = driver.info.get_parameters()
    assert stopped == "15s"
    assert ours["tcp_user_timeout"] == "5000"
    assert ours["keepalives_idle"] == "5"

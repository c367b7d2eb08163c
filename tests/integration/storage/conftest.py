"""Fixtures for tests of storage modules, which share one database of each kind.

Most of them need one connection only, and what they did is rolled back. What the others commit, on two
connections, is deleted. A test that changes the database itself makes one of its own.
"""

import contextlib
from collections.abc import Iterator

import pytest
from sqlalchemy import delete, text, update

from heartbeat_central.storage import tables
from heartbeat_central.storage.engine import Connection, Database, open_database
from heartbeat_central.storage.roll_up_progress import NO_KEY
from tests.conftest import migrated
from tests.support import postgres, rows


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def shared_database(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Database]:
    """Each of the two databases in turn, its tables in place; commit nothing to it."""
    with contextlib.ExitStack() as stack:
        if request.param == "sqlite":
            url = f"sqlite:///{tmp_path_factory.mktemp('storage') / 'heartbeat.sqlite3'}"
            migrated(url)
        else:
            request.getfixturevalue("postgres_server")
            template = postgres.template_database("migrated", migrated)
            url = stack.enter_context(postgres.fresh_database(template))
        opened = open_database(url)
        stack.callback(opened.close)
        yield opened


@pytest.fixture
def connection(shared_database: Database) -> Iterator[Connection]:
    """A write transaction in each of the two databases in turn, rolled back after the test."""

    class Undo(Exception):
        pass

    with contextlib.suppress(Undo), shared_database.write() as connection:
        yield connection
        raise Undo


@pytest.fixture
def database(shared_database: Database) -> Iterator[Database]:
    """Each of the two databases in turn, without a row; what a test commits is deleted after it."""
    # A test that was rolled back has drawn ids all the same.
    if shared_database.dialect == "postgresql":
        with shared_database.write() as connection:
            connection.execute(text("SELECT setval('heartbeats_id_seq', 1, false)"))
    yield shared_database
    with shared_database.write() as connection:
        _empty(connection)


def _empty(connection: Connection) -> None:
    for table in reversed(tables.metadata.sorted_tables):
        if table is not tables.rollup_progress:
            connection.execute(delete(table))
    beginning = {"rolled_application_id": NO_KEY[0], "rolled_hour": NO_KEY[1]}
    connection.execute(
        update(tables.rollup_progress).values(rolled_id=0, rolling_id=0, **beginning)
    )


@pytest.fixture
def project_id(connection: Connection) -> int:
    """The id of a project."""
    return rows.project(connection)

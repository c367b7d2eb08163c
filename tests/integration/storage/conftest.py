"""Fixtures for tests of storage modules.

Most of them need one connection only: they share a database of each kind, and what a test did is rolled
back after it. A test about two connections takes `database`, one of its own.
"""

import contextlib
from collections.abc import Iterator

import pytest

from heartbeat_central.storage.engine import Connection, Database, open_database
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
def project_id(connection: Connection) -> int:
    """The id of a project."""
    return rows.project(connection)

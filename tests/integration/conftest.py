"""Fixtures for tests with a database."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from heartbeat_central.storage.engine import Database
    from tests.support.backups import Sample
    from tests.support.world import World


@pytest.fixture
def world(database: "Database") -> Iterator["World"]:
    """A project in each of the two databases in turn."""
    from tests.support.world import World

    made = World(database)
    yield made
    made.close()


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> "Sample":
    """A backup of a SQLite database with something of everything in it; read it only."""
    from heartbeat_central.storage import migrate
    from heartbeat_central.storage.engine import open_database
    from tests.support.backups import Sample, backup_of, fill, rows_of
    from tests.support.world import World

    database = open_database(f"sqlite:///{tmp_path_factory.mktemp('sample') / 'source.sqlite3'}")
    migrate.upgrade(database)
    world = World(database)
    try:
        filled = fill(world)
        return Sample(backup_of(database), filled.key, world.secret_box, rows_of(database))
    finally:
        world.close()
        database.close()

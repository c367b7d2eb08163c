"""Fixtures for tests with a database."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from heartbeat_central.storage.engine import Database
    from tests.support.world import World


@pytest.fixture
def world(database: "Database") -> Iterator["World"]:
    """A project in each of the two databases in turn."""
    from tests.support.world import World

    made = World(database)
    yield made
    made.close()

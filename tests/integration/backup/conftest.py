"""A world to back up, and empty databases to restore into."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from heartbeat_central.storage.engine import Database
from tests.support.backups import Filled, empty_database, fill
from tests.support.world import World


@pytest.fixture
def filled(world: World) -> Filled:
    return fill(world)


@pytest.fixture(params=["sqlite", "postgresql"])
def target(
    request: pytest.FixtureRequest, postgres_server: str, tmp_path: Path
) -> Iterator[Database]:
    """An empty database to restore into, of each kind in turn."""
    with empty_database(request.param, tmp_path) as database:
        yield database

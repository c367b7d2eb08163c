"""What commands start from: the settings, and the database with its tables in place."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from heartbeat_central.cli.failures import SchemaOutdated

if TYPE_CHECKING:
    from heartbeat_central.settings import Settings
    from heartbeat_central.storage.engine import Database

DOTENV = Path(".env")


def load_settings() -> "Settings":
    """Return the settings of this process. Raises SettingsError.

    From here on the logs are quiet and on stderr; unconfigured, they would go to stdout, between
    the results. `serve` turns them up.
    """
    from heartbeat_central.logs import configure_logging
    from heartbeat_central.settings import read_settings

    configure_logging(quiet=True)
    return read_settings(os.environ, DOTENV)


def now() -> datetime:
    """Return the time, UTC."""
    return datetime.now(UTC)


@contextmanager
def opened(settings: "Settings", *, alone: bool = False) -> Iterator["Database"]:
    """Yield the database, closed afterwards, whatever its tables look like.

    `alone` keeps everybody else away from a SQLite file meanwhile.

    Raises SettingsError when the folder for SQLite can't be written, StorageUnavailable when the
    database doesn't answer.
    """
    from heartbeat_central.settings import ensure_data_dir
    from heartbeat_central.storage.engine import open_database

    if settings.database is None:
        ensure_data_dir(settings)
    database = open_database(settings.database_url, alone=alone)
    try:
        database.ping()
        yield database
    finally:
        database.close()


@contextmanager
def ready(settings: "Settings") -> Iterator["Database"]:
    """Yield the database with its tables, making them when it is empty.

    An older schema is left alone, because running nodes may not expect a change: SchemaOutdated. So is
    a newer one that this version can't work with.
    """
    from heartbeat_central.storage.migrate import (
        current_revision,
        fits,
        newest_revision,
        upgrade,
    )

    with opened(settings) as database:
        revision = current_revision(database)
        if revision is None:
            upgrade(database)
        elif not fits(database):
            raise SchemaOutdated(
                f"The tables are at revision {revision} and this version of the program needs "
                f"{newest_revision()}; run `heartbeat-central db upgrade`, or use the version "
                "of the program that the database was last upgraded with."
            )
        yield database

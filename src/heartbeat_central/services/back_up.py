"""Write everything that the database holds into one file, while the service goes on."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO

from heartbeat_central import __version__
from heartbeat_central.domain.backup import Header
from heartbeat_central.domain.errors import NotFound, UnknownSchema
from heartbeat_central.services.backup_file import BackupWriter
from heartbeat_central.storage import migrate
from heartbeat_central.storage.dump import snapshot
from heartbeat_central.storage.engine import Database

Progress = Callable[[int, int], None]
"""Told how much is done and how much there is, about."""


@dataclass(frozen=True, slots=True)
class BackedUp:
    """What is in the file."""

    rows: Mapping[str, int]
    """By table."""
    unreadable: int = 0
    """Rows with something in them that can't be read, which the log names."""

    @property
    def total(self) -> int:
        """Return the rows of all tables."""
        return sum(self.rows.values())


def back_up(
    database: Database, stream: BinaryIO, *, now: datetime, on_progress: Progress
) -> BackedUp:
    """Write a backup to `stream`: every row as of one moment not before `now`.

    Memory does not depend on the size of the database. `on_progress` is told rows. Raises
    StorageUnavailable, NotFound when the database has no tables, UnknownSchema when a newer version has
    made some that this one would leave out, OSError when `stream` fails.
    """
    with snapshot(database) as taken:
        if taken.revision is None:
            raise NotFound("there is nothing to back up: the database has no tables yet")
        if not migrate.is_known(taken.revision):
            raise UnknownSchema(
                f"The tables are at revision {taken.revision}, and this version of the program knows "
                f"those up to {migrate.newest_revision()}: its backup would leave out what it doesn't "
                "know; use the newer version."
            )
        sections = taken.sections()
        expected = sum(taken.estimate(section) for section in sections)
        header = Header(
            schema=taken.revision,
            program=__version__,
            created_at=now,
            database=database.dialect,
        )
        rows: dict[str, int] = {}
        with BackupWriter(stream, header) as writer:
            for section in sections:
                for count in writer.write(section, taken.rows(section)):
                    rows[section.table] = count
                    on_progress(sum(rows.values()), expected)
        return BackedUp(rows, taken.unreadable)

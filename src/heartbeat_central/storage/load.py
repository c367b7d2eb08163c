"""Puts the rows of a backup into a database, in place of all that is in it, in one transaction.

The tables are made anew as they were when the backup was made, filled, and brought up to date by the
migrations: a backup of any age goes the way that a running database of that age has gone.
"""

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Connection,
    Float,
    LargeBinary,
    Text,
    Uuid,
    column,
    delete,
    func,
    insert,
    inspect,
    literal,
    select,
    table,
    text,
    update,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.types import TypeEngine

from heartbeat_central.domain.backup import ColumnType, Row, Section
from heartbeat_central.domain.errors import BackupRefused, Conflict, StorageUnavailable
from heartbeat_central.storage import migrate, nodes, partitions
from heartbeat_central.storage.engine import Database
from heartbeat_central.storage.tables import (
    api_keys,
    applications,
    channels,
    heartbeats,
    metadata,
    rollup_progress,
    users,
)
from heartbeat_central.storage.types import Moment

MOST_DAYS = 400
"""Days of history that get a partition, the newest. Each costs locks, of which a server has some
thousands, and time; what is older lies in the default partition until it is pruned."""
LOCK_TIMEOUT = 10
"""Seconds to wait for somebody who reads a table that is to be replaced (PostgreSQL)."""
RECENT = 10
"""Seconds. A running service asks something more often, an idle connection in a pool doesn't."""

_MADE_BY_PEOPLE = (users, applications, channels, api_keys)
_TYPES: Mapping[ColumnType, TypeEngine[Any]] = {
    ColumnType.INTEGER: BigInteger(),
    ColumnType.REAL: Float(),
    ColumnType.BOOLEAN: Boolean(),
    ColumnType.TEXT: Text(),
    ColumnType.MOMENT: Moment(),
    ColumnType.UUID: Uuid(),
    ColumnType.BYTES: LargeBinary(),
    ColumnType.JSON: JSON(none_as_null=True),
}


@contextmanager
def replacing(database: Database) -> Iterator["Loader"]:
    """Yield what fills the database; an error leaves everything as it was.

    Raises StorageUnavailable, and BackupRefused when the database doesn't take the rows.
    """
    try:
        with database.write() as connection:
            migrate.lock(connection)
            yield Loader(connection)
    except Conflict as conflict:
        # The database's own: nobody else is at work here, so the file contradicts itself.
        if isinstance(conflict.__cause__, DBAPIError):
            raise _refusal(conflict.__cause__) from conflict
        raise
    except (DBAPIError, OverflowError) as error:
        raise _refusal(error) from error


def _refusal(error: Exception) -> BackupRefused:
    cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
    reason = (str(cause).strip().splitlines() or ["no reason given"])[0]
    return BackupRefused(f"the database does not take it ({reason})")


class Loader:
    """One restore, in its transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._postgresql = connection.dialect.name == "postgresql"
        self._table = ""
        self._columns: Collection[str] = ()
        self._last_id = 0
        self._last_heartbeat = 0

    def others(self) -> int:
        """Return how many other sessions of this program work in the database (PostgreSQL).

        A SQLite file is this process's alone: see `open_database`.
        """
        if not self._postgresql:
            return 0
        query = text(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            " AND application_name = current_setting('application_name')"
            " AND (state <> 'idle' OR state_change > clock_timestamp() - :recent * interval '1 s')"
        )
        return int(self._connection.execute(query, {"recent": RECENT}).scalar_one())

    def held(self) -> dict[str, int]:
        """Return how many rows there are that a restore would lose, by table; {} when none."""
        existing = set(inspect(self._connection).get_table_names())
        held = {
            one.name: self._connection.execute(select(func.count()).select_from(one)).scalar_one()
            for one in _MADE_BY_PEOPLE
            if one.name in existing
        }
        return {name: count for name, count in held.items() if count}

    def begin(self, revision: str, days: Collection[date]) -> None:
        """Drop everything and make the tables of `revision`, with history for `days`.

        Raises BackupRefused when this program doesn't know the revision of the tables that are there.
        """
        if self._postgresql:
            self._connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}s'"))
        self._drop()
        migrate.upgrade_to(self._connection, revision)
        if revision == migrate.newest_revision():
            self._make_room(days)

    def insert(self, section: Section, rows: Sequence[Row]) -> None:
        """Store some rows of a table; the rows of one table come together."""
        if section.table != self._table:
            self._begin_table(section)
        if rows:
            self._note_ids(section, rows)
            if self._postgresql:
                self._copy(section, rows)
            else:
                names = list(section.columns)
                self._connection.execute(
                    insert(_described(section)),
                    [dict(zip(names, row, strict=True)) for row in rows],
                )

    def finish(self, days: Collection[date], *, as_of: datetime) -> None:
        """Bring the tables up to date, once all rows are in. `as_of`: when the backup was made."""
        self._end_table()
        migrate.upgrade_to(self._connection, "head")
        self._make_room(days)
        nodes.end_all(self._connection, as_of=as_of)
        # Where ids had been drawn beyond the last heartbeat that is there, they are drawn again, and
        # the rollups must not take those heartbeats for counted.
        for name in ("rolled_id", "rolling_id"):
            self._connection.execute(
                update(rollup_progress)
                .where(rollup_progress.c[name] > self._last_heartbeat)
                .values({name: self._last_heartbeat})
            )

    def _drop(self) -> None:
        revision = migrate.revision_of(self._connection)
        if revision is None:
            return
        if not migrate.is_known(revision):
            raise BackupRefused(
                f"the tables in the database (revision {revision}) are those of a newer version of "
                "the program; use that version, or an empty database"
            )
        # What only an older version had goes with the migrations that retired it.
        migrate.upgrade_to(self._connection, "head")
        metadata.drop_all(self._connection)
        self._connection.execute(text("DROP TABLE alembic_version"))
        if self._postgresql:
            self._connection.execute(text("DROP SEQUENCE heartbeats_id_seq"))

    def _make_room(self, days: Collection[date]) -> None:
        if self._postgresql:
            for day in sorted(days)[-MOST_DAYS:]:
                partitions.make(self._connection, day)

    def _begin_table(self, section: Section) -> None:
        self._end_table()
        inspector = inspect(self._connection)
        if section.table not in inspector.get_table_names():
            raise BackupRefused(f"it has a table {section.table!r} that no version had")
        self._columns = {one["name"] for one in inspector.get_columns(section.table)}
        unknown = sorted(set(section.columns) - set(self._columns))
        if unknown:
            raise BackupRefused(f"its table {section.table} has unknown columns: {unknown}")
        self._table, self._last_id = section.table, section.last_id or 0
        # Some migrations leave a first row, which is among the rows that come.
        self._connection.execute(delete(table(section.table)))

    def _note_ids(self, section: Section, rows: Sequence[Row]) -> None:
        names = list(section.columns)
        if "id" in names and section.columns["id"] is ColumnType.INTEGER:
            index = names.index("id")
            self._last_id = max(self._last_id, max(row[index] for row in rows))
            if section.table == heartbeats.name:
                self._last_heartbeat = self._last_id

    def _end_table(self) -> None:
        """Let ids continue above all that were ever given out."""
        if not self._last_id:
            return
        if self._postgresql:
            self._connection.execute(
                text("SELECT setval(to_regclass(:name), :last)"),
                {"name": f"{self._table}_id_seq", "last": self._last_id},
            )
        elif _counts_by_itself(self._table):
            counters = table("sqlite_sequence", column("name"), column("seq"))
            self._connection.execute(delete(counters).where(counters.c.name == self._table))
            self._connection.execute(
                insert(counters).values(name=self._table, seq=literal(self._last_id))
            )

    def _copy(self, section: Section, rows: Sequence[Row]) -> None:
        quote = self._connection.dialect.identifier_preparer.quote
        names = ", ".join(quote(name) for name in section.columns)
        convert = [_COPIED.get(kind) for kind in section.columns.values()]
        # psycopg's own: SQLAlchemy has no COPY, which takes a third of the time of inserts.
        raw: Any = self._connection.connection
        driver: Any = self._connection.dialect.loaded_dbapi
        try:
            with (
                raw.cursor() as cursor,
                cursor.copy(f"COPY {quote(section.table)} ({names}) FROM STDIN") as copy,
            ):
                for row in rows:
                    copy.write_row(
                        [
                            value if change is None or value is None else change(value)
                            for change, value in zip(convert, row, strict=True)
                        ]
                    )
        except driver.OperationalError as error:
            raise StorageUnavailable(str(error).strip().splitlines()[0]) from error
        except driver.Error as error:
            reason = (str(error).strip().splitlines() or ["no reason given"])[0]
            raise BackupRefused(
                f"the database does not take its table {section.table} ({reason})"
            ) from error


def _counts_by_itself(name: str) -> bool:
    found = metadata.tables.get(name)
    return found is not None and bool(found.kwargs.get("sqlite_autoincrement"))


def _described(section: Section) -> Any:
    return table(
        section.table, *(column(name, _TYPES[kind]) for name, kind in section.columns.items())
    )


def _without_nul(value: str) -> str:
    # SQLite stores it in a text, PostgreSQL can't.
    return value.replace("\x00", "\N{REPLACEMENT CHARACTER}")


_COPIED: Mapping[ColumnType, Callable[[Any], str]] = {
    ColumnType.TEXT: _without_nul,
    ColumnType.JSON: json.dumps,
}

"""Reads every table, for a backup: all rows as of one moment, in a stream."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Column, Connection, Integer, Table, func, inspect, select, text

from heartbeat_central.domain.backup import ColumnType, Row, Section
from heartbeat_central.storage import careful, migrate
from heartbeat_central.storage.dump_rows import Mender, column_type, readable
from heartbeat_central.storage.engine import Database
from heartbeat_central.storage.tables import heartbeats, metadata, sessions

LEFT_OUT = frozenset({sessions.name})
"""Who has signed out since would be signed in again; everybody signs in anew instead."""

_CHUNK = 500
"""Rows in memory at once; a row may hold a body of 1 MiB."""


class Snapshot:
    """The database as it was at one moment."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.revision = migrate.revision_of(connection)
        """Of the tables; None when there are none."""
        self.unreadable = 0
        """Rows so far with something in them that can't be read."""
        self._sqlite = connection.dialect.name == "sqlite"

    def sections(self) -> list[Section]:
        """Return every table to back up, in an order in which no row refers to a later table."""
        inspector = inspect(self._connection)
        existing = set(inspector.get_table_names())
        return [
            self._section(table, {column["name"] for column in inspector.get_columns(table.name)})
            for table in metadata.sorted_tables
            if table.name in existing and table.name not in LEFT_OUT
        ]

    def rows(self, section: Section) -> Iterator[Row]:
        """Yield the rows of a table, in no particular order.

        What of a row can't be read, or is not what its column holds, is put in place by what stands for
        nothing; the row is logged and counted in `unreadable`. Without its key it is left out.
        """
        table = metadata.tables[section.table]
        columns = [table.c[name] for name in section.columns]
        mend = Mender(table, columns)
        found = self._by_key(table, columns) if _has_number(table, self._sqlite) else None
        for row in found or self._stream(columns):
            good = mend.row(row)
            if good is not None:
                yield good
        self.unreadable += mend.count

    def _stream(self, columns: Sequence[Column[Any]]) -> Iterator[Any]:
        """Yield rows as they come. A stream that breaks off at a bad one could not go on after it."""
        query = select(*map(readable, columns))
        yield from self._connection.execution_options(yield_per=_CHUNK).execute(query)

    def _by_key(self, table: Table, columns: Sequence[Column[Any]]) -> Iterator[Any]:
        """Yield rows chunk by chunk, so that the bad ones of a chunk can be read each for itself."""
        (key,) = table.primary_key.columns
        query = select(*columns).order_by(key).limit(_CHUNK)
        page = careful.rows(self._connection, query, key)
        while page:
            yield from page
            last = getattr(page[-1], key.name)
            page = careful.rows(self._connection, query.where(key > last), key)

    def estimate(self, section: Section) -> int:
        """Return about how many rows a table has, without counting a long history."""
        table = metadata.tables[section.table]
        if self._connection.dialect.name == "postgresql":
            query = text(
                "SELECT coalesce(sum(greatest(reltuples, 0)), 0) FROM pg_class"
                " WHERE oid = CAST(:name AS regclass)"
                " OR oid IN (SELECT relid FROM pg_partition_tree(CAST(:name AS regclass)))"
            )
            found = self._connection.execute(query, {"name": section.table}).scalar_one()
        elif section.columns.get("id") is ColumnType.INTEGER:
            ids = select(func.coalesce(func.max(table.c.id) - func.min(table.c.id) + 1, 0))
            found = self._connection.execute(ids).scalar_one()
        else:
            found = self._connection.execute(select(func.count()).select_from(table)).scalar_one()
        return int(found)

    def _section(self, table: Table, existing: set[str]) -> Section:
        # An older revision has fewer columns; this program must be able to back it up before it
        # is brought up to date.
        return Section(
            table=table.name,
            columns={c.name: column_type(c.type) for c in table.c if c.name in existing},
            last_id=self._last_id(table),
        )

    def _last_id(self, table: Table) -> int | None:
        if self._connection.dialect.name == "postgresql":
            sequence = self._connection.execute(
                text("SELECT to_regclass(:name)"), {"name": f"{table.name}_id_seq"}
            ).scalar()
            if sequence is None:
                return None
            query = f"SELECT last_value FROM {sequence} WHERE is_called"  # noqa: S608  our own name
            found = self._connection.execute(text(query)).scalar()
        elif table.kwargs.get("sqlite_autoincrement"):
            found = self._connection.execute(
                text("SELECT seq FROM sqlite_sequence WHERE name = :name"), {"name": table.name}
            ).scalar()
        else:
            return None
        return None if found is None else int(found)


@contextmanager
def snapshot(database: Database) -> Iterator[Snapshot]:
    """Yield the database as it is now; recording, noticing and telling go on meanwhile.

    Raises StorageUnavailable.
    """
    with database.read() as connection:
        names = sorted(set(inspect(connection).get_table_names()) & set(metadata.tables))
    with database.snapshot() as connection:
        if database.dialect == "postgresql" and names:
            # Before the snapshot, which begins with the first query: a day of the history that is
            # dropped after it, or a table that is altered, would be missing from it.
            connection.execute(text(f"LOCK TABLE {', '.join(names)} IN ACCESS SHARE MODE"))
            # Rows in the order in which they lie, not from where another reader happens to be.
            connection.execute(text("SET LOCAL synchronize_seqscans = off"))
        yield Snapshot(connection)


def _has_number(table: Table, sqlite: bool) -> bool:
    """Return whether the rows of a table have a number each, by which they can be found."""
    key = list(table.primary_key.columns)
    if len(key) != 1 or not isinstance(key[0].type, Integer):
        return False
    # On PostgreSQL the history is in parts, which have no common index of it.
    return sqlite or table is not heartbeats

"""Reads every table, for a backup: all rows as of one moment, in a stream."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import structlog
from sqlalchemy import (
    JSON,
    Boolean,
    Connection,
    Float,
    Integer,
    LargeBinary,
    Select,
    String,
    Table,
    Uuid,
    func,
    inspect,
    select,
    text,
)
from sqlalchemy.types import TypeEngine

from heartbeat_central.domain.backup import ColumnType, Row, Section
from heartbeat_central.storage import careful, migrate
from heartbeat_central.storage.decoding import FIRST
from heartbeat_central.storage.engine import Database
from heartbeat_central.storage.tables import (
    alerts,
    application_states,
    applications,
    channels,
    deliveries,
    incidents,
    metadata,
    sessions,
)
from heartbeat_central.storage.types import Moment

log = structlog.get_logger(__name__)

LEFT_OUT = frozenset({sessions.name})
"""Who has signed out since would be signed in again; everybody signs in anew instead."""

_BY_KEY = frozenset(
    table.name
    for table in (applications, application_states, incidents, channels, alerts, deliveries)
)
"""The tables that people are tempted to write into; the history is too long for anything but a stream."""
_NOTHING: Mapping[ColumnType, Any] = {
    ColumnType.MOMENT: FIRST,
    ColumnType.TEXT: "",
    ColumnType.JSON: {},
    ColumnType.INTEGER: 0,
    ColumnType.BOOLEAN: False,
    ColumnType.BYTES: b"",
}
"""What stands for a value that can't be read in a column that must have one."""
UNREADABLE_STATUS = "broken"
"""Of a state with a value that can't be read: restored, it is told as a problem as before, and not
judged by what stands in for that value."""

_CHUNK = 500
"""Rows in memory at once; a row may hold a body of 1 MiB."""

_TYPES: Sequence[tuple[type[TypeEngine[Any]], ColumnType]] = (
    # The first that fits: Boolean before Integer, as types may inherit from each other.
    (Moment, ColumnType.MOMENT),
    (Uuid, ColumnType.UUID),
    (JSON, ColumnType.JSON),
    (LargeBinary, ColumnType.BYTES),
    (Boolean, ColumnType.BOOLEAN),
    (Integer, ColumnType.INTEGER),
    (Float, ColumnType.REAL),
    (String, ColumnType.TEXT),
)


class Snapshot:
    """The database as it was at one moment."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.revision = migrate.revision_of(connection)
        """Of the tables; None when there are none."""

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

        What of a row can't be read is put in place by what stands for nothing, and logged.
        """
        table = metadata.tables[section.table]
        query = select(*(table.c[name] for name in section.columns))
        if table.name in _BY_KEY:
            yield from self._by_key(table, query)
        else:
            yield from self._connection.execution_options(yield_per=_CHUNK).execute(query)

    def _by_key(self, table: Table, query: Select[Any]) -> Iterator[Row]:
        """Yield rows chunk by chunk: a stream that breaks off at a bad row could not go on after it."""
        (key,) = table.primary_key.columns
        query = query.order_by(key).limit(_CHUNK)
        page = careful.rows(self._connection, query, key)
        while page:
            for row in page:
                yield _mended(table, query, row) if isinstance(row, careful.Damaged) else row
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


def _mended(table: Table, query: Select[Any], row: careful.Damaged) -> Row:
    log.error("row_unreadable", table=table.name, problem=careful.damage(row))
    values = []
    for selected in query.selected_columns:
        column = table.c[str(selected.key)]
        value = getattr(row, column.name)
        if value is None and not column.nullable:
            kind = column_type(column.type)
            value = uuid4() if kind is ColumnType.UUID else _NOTHING[kind]
        if column is application_states.c.status and set(row.unreadable) != {"check_at"}:
            value = UNREADABLE_STATUS
        values.append(value)
    return tuple(values)


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


def column_type(kind: TypeEngine[Any]) -> ColumnType:
    """Return how a backup writes a column of this type. Raises TypeError when nobody said how."""
    for ours, written in _TYPES:
        if isinstance(kind, ours):
            return written
    raise TypeError(f"a backup doesn't know how to write {kind!r}")

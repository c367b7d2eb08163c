"""Makes rows fit for a backup: whatever a database holds, what is written can be read and restored."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import structlog
from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    ColumnElement,
    Float,
    Integer,
    LargeBinary,
    String,
    Table,
    Uuid,
    case,
)
from sqlalchemy.types import TypeEngine

from heartbeat_central.domain.backup import ColumnType, Row
from heartbeat_central.storage import careful
from heartbeat_central.storage.decoding import FIRST
from heartbeat_central.storage.tables import application_states
from heartbeat_central.storage.types import Moment

UNREADABLE_STATUS = "broken"
"""Of a state with a value that can't be read: restored, it is told as a problem as before, and not
judged by what stands in for that value."""

_NOTHING: Mapping[ColumnType, Any] = {
    ColumnType.MOMENT: FIRST,
    ColumnType.TEXT: "",
    ColumnType.JSON: {},
    ColumnType.INTEGER: 0,
    ColumnType.REAL: 0.0,
    ColumnType.BOOLEAN: False,
    ColumnType.BYTES: b"",
}
"""What stands for a value that can't be read in a column that must have one."""

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
_HELD: Mapping[ColumnType, tuple[type, ...]] = {
    ColumnType.MOMENT: (datetime,),
    ColumnType.UUID: (UUID,),
    ColumnType.JSON: (dict, list, str, int, float, bool),
    ColumnType.BYTES: (bytes, memoryview),
    ColumnType.BOOLEAN: (bool,),
    ColumnType.INTEGER: (int,),
    ColumnType.REAL: (float, int),
    ColumnType.TEXT: (str,),
}
"""What values of a column are in Python; SQLite takes anything into any column."""

log = structlog.get_logger(__name__)


class Mender:
    """Makes the rows of one table fit."""

    def __init__(self, table: Table, columns: Sequence[Column[Any]]) -> None:
        self._table = table
        self._columns = columns
        self._kinds = [column_type(column.type) for column in columns]
        self._fine: set[tuple[type, ...]] = set()
        self.count = 0
        """Rows so far of which something could not be read."""

    def row(self, row: Any) -> Row | None:
        """Return the row, mended if need be; None: nobody knows which one it is."""
        if not isinstance(row, careful.Damaged):
            # Rows come in few patterns, so that looking at each pattern once is enough.
            pattern = tuple(map(type, row))
            if pattern in self._fine:
                return tuple(row)
            if all(map(self._fits, self._columns, self._kinds, row)):
                self._fine.add(pattern)
                return tuple(row)
        return self._mended(row)

    def _fits(self, column: Column[Any], kind: ColumnType, value: Any) -> bool:
        if value is None:
            return bool(column.nullable)
        return type(value) in _HELD[kind]

    def _mended(self, row: Any) -> Row | None:
        self.count += 1
        found = [getattr(row, column.name) for column in self._columns]
        bad = {
            column.name
            for column, kind, value in zip(self._columns, self._kinds, found, strict=True)
            if not self._fits(column, kind, value)
        }
        bad |= set(row.unreadable) if isinstance(row, careful.Damaged) else set()
        keys = {one.name: getattr(row, one.name) for one in self._table.primary_key.columns}
        log.error(
            "row_unreadable",
            table=self._table.name,
            key={name: str(value) for name, value in keys.items()},
            columns=sorted(bad),
        )
        if bad.intersection(keys):
            return None
        if self._table is application_states and bad - {"check_at"}:
            bad.add("status")
        return tuple(
            self._stand_in(column, kind) if column.name in bad else value
            for column, kind, value in zip(self._columns, self._kinds, found, strict=True)
        )

    def _stand_in(self, column: Column[Any], kind: ColumnType) -> Any:
        if column is application_states.c.status:
            return UNREADABLE_STATUS
        if column.nullable:
            return None
        return uuid4() if kind is ColumnType.UUID else _NOTHING[kind]


def readable(column: Column[Any]) -> ColumnElement[Any]:
    """Return what reads a column without ever failing: NULL in place of a time that can't be read."""
    if not isinstance(column.type, Moment):
        return column
    return case((careful.is_readable(column), column)).label(column.name)


def column_type(kind: TypeEngine[Any]) -> ColumnType:
    """Return how a backup writes a column of this type. Raises TypeError when nobody said how."""
    for ours, written in _TYPES:
        if isinstance(kind, ours):
            return written
    raise TypeError(f"a backup doesn't know how to write {kind!r}")

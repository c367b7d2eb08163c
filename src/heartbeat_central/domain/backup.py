"""What the lines of a backup file say: docs/reference/backup-format.md is the format in full.

A backup belongs to no database: times, UUIDs and bytes stand in it as text, the same from SQLite as
from PostgreSQL. Here are the lines alone; services/backup_file.py packs them into a file.
"""

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, assert_never
from uuid import UUID

from heartbeat_central.domain.errors import BackupRefused
from heartbeat_central.domain.moment import isoformat, parse

FORMAT = "heartbeat-central backup"
VERSION = 1
"""Of the format. The tables in it have a revision of their own."""

Row = Sequence[Any]
"""One value a column, as Python has it: datetime, UUID, bytes, …"""


class ColumnType(StrEnum):
    """How the values of a column are written."""

    INTEGER = "integer"
    REAL = "real"
    BOOLEAN = "boolean"
    TEXT = "text"
    MOMENT = "moment"
    """RFC 3339 in UTC, to the microsecond."""
    UUID = "uuid"
    BYTES = "bytes"
    """Base64."""
    JSON = "json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """The first line."""

    schema: str
    """Revision of the tables that the rows were read from."""
    program: str
    """Version of the program that wrote the file."""
    created_at: datetime
    """When the snapshot was taken that every row comes from."""
    database: str
    """`sqlite` or `postgresql`; it goes into either."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A table. Its rows follow, one a line, each an array in the order of `columns`."""

    table: str
    columns: Mapping[str, ColumnType]
    last_id: int | None
    """The highest id that was ever given out, so that no deleted row's id is given again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SectionEnd:
    """The end of a table."""

    table: str
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Trailer:
    """The last line. A file without it was never finished."""

    tables: int
    rows: int
    sha256: str
    """Of everything before this line, uncompressed."""


def write_header(header: Header) -> bytes:
    """Return the first line."""
    return _line(
        {
            "format": FORMAT,
            "version": VERSION,
            "schema": header.schema,
            "program": header.program,
            "created_at": isoformat(header.created_at),
            "database": header.database,
        }
    )


def read_header(line: bytes) -> Header:
    """Return what the first line says. Raises BackupRefused when it is none of ours."""
    try:
        found = json.loads(line)
        if found["format"] != FORMAT:
            raise ValueError("another format")
        version = int(found["version"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BackupRefused("this is no backup of Heartbeat Central") from error
    if version != VERSION:
        raise BackupRefused(
            f"it has version {version} of the format and this program reads version {VERSION}; "
            "use the version of the program that made it, or a newer one"
        )
    try:
        return Header(
            schema=_as(str, found["schema"]),
            program=_as(str, found["program"]),
            created_at=_as(datetime, parse(found["created_at"])),
            database=_as(str, found["database"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise BackupRefused("its first line is damaged") from error


def write_mark(mark: Section | SectionEnd | Trailer) -> bytes:
    """Return a line that is no row."""
    match mark:
        case Section():
            content = {"table": mark.table, "columns": mark.columns, "last_id": mark.last_id}
        case SectionEnd():
            content = {"end_of": mark.table, "rows": mark.rows}
        case Trailer():
            content = {"tables": mark.tables, "rows": mark.rows, "sha256": mark.sha256}
        case _:
            assert_never(mark)
    return _line(content)


def read_mark(line: bytes) -> Section | SectionEnd | Trailer:
    """Return what a line says that is no row. Raises ValueError, KeyError or TypeError."""
    found = json.loads(line)
    if "table" in found:
        columns = {_as(str, name): ColumnType(kind) for name, kind in found["columns"].items()}
        last_id = found["last_id"]
        return Section(
            table=_as(str, found["table"]),
            columns=columns,
            last_id=None if last_id is None else _as(int, last_id),
        )
    if "end_of" in found:
        return SectionEnd(table=_as(str, found["end_of"]), rows=_as(int, found["rows"]))
    return Trailer(
        tables=_as(int, found["tables"]),
        rows=_as(int, found["rows"]),
        sha256=_as(str, found["sha256"]),
    )


class RowCodec:
    """Turns rows of one section into lines, and lines into rows."""

    def __init__(self, columns: Mapping[str, ColumnType]) -> None:
        kinds = list(columns.values())
        self._width = len(kinds)
        self._written = [(i, _WRITE[kind]) for i, kind in enumerate(kinds) if kind in _WRITE]
        self._read = [(i, _READ[kind]) for i, kind in enumerate(kinds) if kind in _READ]
        self._json = [_JSON_TYPES[kind] for kind in kinds]
        self._accepted: set[tuple[type, ...]] = set()

    def write(self, row: Row) -> bytes:
        """Return the line of a row."""
        values = list(row)
        for index, convert in self._written:
            if values[index] is not None:
                values[index] = convert(values[index])
        return _line(values)

    def read(self, line: bytes) -> list[Any]:
        """Return the row in a line. Raises ValueError or TypeError when it is none."""
        values: list[Any] = json.loads(line)
        # Rows come in few patterns, so that looking at each pattern once is enough.
        pattern = tuple(map(type, values))
        if pattern not in self._accepted:
            self._check(values, pattern)
            self._accepted.add(pattern)
        for index, convert in self._read:
            if values[index] is not None:
                values[index] = convert(values[index])
        return values

    def _check(self, values: object, pattern: tuple[type, ...]) -> None:
        if not isinstance(values, list) or len(values) != self._width:
            raise ValueError(f"a row must be an array of {self._width}")
        for found, expected in zip(pattern, self._json, strict=True):
            if found is not type(None) and found not in expected:
                raise ValueError(f"{found.__name__} is none of what the column holds")


# ASCII: whatever a text holds, the line can be written, looked at and mailed.
_encoder = json.JSONEncoder(separators=(",", ":"))


def _line(content: object) -> bytes:
    return _encoder.encode(content).encode("ascii") + b"\n"


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")


def _as(expected: type, value: Any) -> Any:
    if type(value) is not expected:
        raise ValueError(f"{value!r} must be of type {expected.__name__}")
    return value


_WRITE: Mapping[ColumnType, Callable[[Any], Any]] = {
    ColumnType.MOMENT: isoformat,
    ColumnType.UUID: str,
    ColumnType.BYTES: _base64,
}
_READ: Mapping[ColumnType, Callable[[Any], Any]] = {
    ColumnType.MOMENT: parse,
    ColumnType.UUID: UUID,
    ColumnType.BYTES: _bytes,
}
_JSON_TYPES: Mapping[ColumnType, tuple[type, ...]] = {
    ColumnType.INTEGER: (int,),
    ColumnType.REAL: (float, int),
    ColumnType.BOOLEAN: (bool,),
    ColumnType.JSON: (dict, list, str, int, float, bool),
    **dict.fromkeys(
        (ColumnType.TEXT, ColumnType.MOMENT, ColumnType.UUID, ColumnType.BYTES), (str,)
    ),
}

"""The lines of a backup file: what is written is read again, and nothing else is."""

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from heartbeat_central.domain import backup
from heartbeat_central.domain.backup import (
    ColumnType,
    Header,
    RowCodec,
    Section,
    SectionEnd,
    Trailer,
)
from heartbeat_central.domain.errors import BackupRefused

NOON = datetime(2026, 11, 23, 12, 0, 0, 123456, tzinfo=UTC)
RUN = UUID("0b1f5f3e-8c1d-4c6e-9a52-3f1f0a7f5d11")
HEADER = Header(schema="0005", program="0.1.0", created_at=NOON, database="sqlite")
COLUMNS = {
    "id": ColumnType.INTEGER,
    "share": ColumnType.REAL,
    "is_active": ColumnType.BOOLEAN,
    "name": ColumnType.TEXT,
    "received_at": ColumnType.MOMENT,
    "uuid": ColumnType.UUID,
    "body": ColumnType.BYTES,
    "tags": ColumnType.JSON,
}
ROW = [7, 0.5, True, "Bäckup\n", NOON, RUN, b"\x00\xff", ["a", {"b": None}]]


def header(**changes: Any) -> bytes:
    return json.dumps({**json.loads(backup.write_header(HEADER)), **changes}).encode()


def test_a_header_is_read_as_it_was_written() -> None:
    assert backup.read_header(backup.write_header(HEADER)) == HEADER


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"", "no backup"),
        (b"\x1f\x8b", "no backup"),
        (b"[]", "no backup"),
        (b"{}", "no backup"),
        (header(format="another"), "no backup"),
        (header(version="next"), "no backup"),
        (header(version=2), "version 2"),
        (header(schema=5), "damaged"),
        (header(created_at="noon"), "damaged"),
        (header(created_at=None), "damaged"),
    ],
)
def test_a_first_line_that_is_none_of_ours_is_refused(line: bytes, reason: str) -> None:
    with pytest.raises(BackupRefused, match=reason):
        backup.read_header(line)


@pytest.mark.parametrize(
    "mark",
    [
        Section(table="heartbeats", columns=COLUMNS, last_id=9),
        Section(table="members", columns=COLUMNS, last_id=None),
        SectionEnd(table="heartbeats", rows=3),
        Trailer(tables=2, rows=3, sha256="ab" * 32),
    ],
)
def test_a_mark_is_read_as_it_was_written(mark: Section | SectionEnd | Trailer) -> None:
    assert backup.read_mark(backup.write_mark(mark)) == mark


@pytest.mark.parametrize(
    "line",
    [
        b"{}",
        b"{",
        b'{"end_of":"members","rows":true}',
        b'{"end_of":"members","rows":"3"}',
        b'{"table":"members","columns":{"id":"number"},"last_id":null}',
        b'{"table":"members","columns":[],"last_id":null}'.replace(b"[]", b"3"),
    ],
)
def test_a_damaged_mark_is_refused(line: bytes) -> None:
    with pytest.raises((ValueError, KeyError, TypeError, AttributeError)):
        backup.read_mark(line)


@pytest.mark.parametrize("row", [ROW, [None] * len(ROW)])
def test_a_row_is_read_as_it_was_written(row: list[Any]) -> None:
    codec = RowCodec(COLUMNS)
    line = codec.write(row)
    assert line.isascii()
    assert line.count(b"\n") == 1
    assert codec.read(line) == row
    assert codec.read(line) == row, "a pattern that was seen before is read alike"


@pytest.mark.parametrize(
    "values", [[], [1], [1, "a", "b"], {"a": 1, "b": 2}, ["1", "a"], [True, "a"]]
)
def test_a_row_of_another_shape_is_refused(values: object) -> None:
    codec = RowCodec({"id": ColumnType.INTEGER, "name": ColumnType.TEXT})
    with pytest.raises((ValueError, TypeError)):
        codec.read(json.dumps(values).encode())

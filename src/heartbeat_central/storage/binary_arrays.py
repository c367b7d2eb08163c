"""PostgreSQL's binary form of one-dimensional arrays, made in as few steps as Python can.

A batch of heartbeats travels as one array a column. psycopg would adapt each element by itself, which
took longer than all the rest of storing it.

Source: `array_send` in PostgreSQL's src/backend/utils/adt/arrayfuncs.c: int32 dimensions, int32 "has
nulls", uint32 element type, int32 length, int32 lower bound; then an int32 length and the bytes of each
element, length -1 for NULL.
"""

import struct
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

INT2, INT4, INT8 = 21, 23, 20
TEXT, BYTEA, UUID_, TIMESTAMPTZ = 25, 17, 2950, 1184
ARRAY_OF = {
    INT2: 1005,
    INT4: 1007,
    INT8: 1016,
    TEXT: 1009,
    BYTEA: 1001,
    UUID_: 2951,
    TIMESTAMPTZ: 1185,
}
"""The type of an array by the type of its elements (pg_type.dat)."""

_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_LENGTH = struct.Struct(">i").pack
_HEADER = struct.Struct(">iiIii").pack
_NULL = _LENGTH(-1)
_SIZES = {INT2: ("h", 2), INT4: ("i", 4), INT8: ("q", 8)}


def integers(type_: int, values: Sequence[int]) -> bytes:
    """Return an array of INT2, INT4 or INT8 without NULLs. Raises struct.error on what doesn't fit."""
    code, size = _SIZES[type_]
    count = len(values)
    flat = [size] * (2 * count)
    flat[1::2] = values
    return _HEADER(1, 0, type_, count, 1) + struct.pack(f">{f'i{code}' * count}", *flat)


def integers_or_null(type_: int, values: Sequence[int | None]) -> bytes:
    """Return an array of INT2, INT4 or INT8 in which None is NULL."""
    if None not in values:
        return integers(type_, values)  # type: ignore[arg-type]
    code, size = _SIZES[type_]
    pack = struct.Struct(f">i{code}").pack
    return _with_nulls(
        type_, (_NULL if it is None else pack(size, it) for it in values), len(values)
    )


def moments(values: Sequence[datetime]) -> bytes:
    """Return an array of timestamptz: microseconds since 2000."""
    return _retyped(TIMESTAMPTZ, integers(INT8, [(it - _EPOCH) // _MICROSECOND for it in values]))


def moments_or_null(values: Sequence[datetime | None]) -> bytes:
    """Return an array of timestamptz in which None is NULL."""
    since = [None if it is None else (it - _EPOCH) // _MICROSECOND for it in values]
    return _retyped(TIMESTAMPTZ, integers_or_null(INT8, since))


def texts(values: Sequence[str | None]) -> bytes:
    """Return an array of text. Raises UnicodeEncodeError on what UTF-8 can't write."""
    # A batch holds few different values: methods, addresses, programs.
    written = {it: _NULL if it is None else _element(it.encode()) for it in set(values)}
    return _with_nulls(TEXT, [written[it] for it in values], len(values))


def bytes_(values: Sequence[bytes | None]) -> bytes:
    """Return an array of bytea."""
    return _with_nulls(BYTEA, [_NULL if it is None else _element(it) for it in values], len(values))


def uuids(values: Sequence[UUID | None]) -> bytes:
    """Return an array of uuid."""
    elements = [_NULL if it is None else _element(it.bytes) for it in values]
    return _with_nulls(UUID_, elements, len(values))


def _element(value: bytes) -> bytes:
    return _LENGTH(len(value)) + value


def _with_nulls(type_: int, elements: Iterable[bytes], count: int) -> bytes:
    return _HEADER(1, 1, type_, count, 1) + b"".join(elements)


def _retyped(type_: int, array: bytes) -> bytes:
    return array[:8] + struct.pack(">I", type_) + array[12:]

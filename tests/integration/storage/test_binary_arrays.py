"""PostgreSQL reads the arrays that are written for it as what they were."""

import struct
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg import pq

from heartbeat_central.storage import binary_arrays as arrays

MIDNIGHT = datetime(2000, 1, 1, tzinfo=UTC)
MOMENTS = [MIDNIGHT, MIDNIGHT - timedelta(microseconds=1), datetime(2999, 12, 31, tzinfo=UTC)]
RUN = UUID("0b1f5f3e-8c1d-4c6e-9a52-3f1f0a7f5d11")


@pytest.mark.parametrize(
    ("element", "write", "values"),
    [
        (arrays.INT8, lambda it: arrays.integers(arrays.INT8, it), [0, -1, 2**63 - 1, -(2**63)]),
        (arrays.INT4, lambda it: arrays.integers(arrays.INT4, it), [0, 2**31 - 1]),
        (arrays.INT2, lambda it: arrays.integers(arrays.INT2, it), [0, 255, -1]),
        (arrays.INT2, lambda it: arrays.integers_or_null(arrays.INT2, it), [None, 0, 255]),
        (arrays.INT2, lambda it: arrays.integers_or_null(arrays.INT2, it), [1, 2]),
        (arrays.TIMESTAMPTZ, arrays.moments, MOMENTS),
        (arrays.TIMESTAMPTZ, arrays.moments_or_null, [*MOMENTS, None]),
        (arrays.TEXT, arrays.texts, ["", "a", None, "Bäckup ✓", "NULL", "{a,b}", '"']),
        (arrays.BYTEA, arrays.bytes_, [b"", None, b"\x00\xff\\x"]),
        (arrays.UUID_, arrays.uuids, [RUN, None]),
        (arrays.TEXT, arrays.texts, ["many"] * 1000),
    ],
)
def test_is_read_as_it_was(
    postgres_url: str, element: int, write: Callable[[Any], bytes], values: list[Any]
) -> None:
    type_ = arrays.ARRAY_OF[element]
    with psycopg.connect(postgres_url) as connection:
        connection.execute("SET timezone = 'UTC'")
        name = connection.execute("SELECT %s::regtype::text", [type_]).fetchone()
        assert name is not None
        connection.pgconn.exec_params(
            f"CREATE TEMPORARY TABLE it AS SELECT $1::{name[0]} AS given".encode(),
            [write(values)],
            [type_],
            [pq.Format.BINARY],
        )
        row = connection.execute("SELECT given FROM it").fetchone()
    assert row == (values,)


@pytest.mark.parametrize("value", [1 << 15, -(1 << 15) - 1, 1 << 70])
def test_a_number_that_does_not_fit_is_refused(value: int) -> None:
    with pytest.raises((struct.error, OverflowError)):
        arrays.integers_or_null(arrays.INT2, [None, value])

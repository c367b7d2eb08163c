"""Many rows, written by one statement: they travel as one JSON document, a single parameter.

psycopg carries out a list of rows row by row, and takes an array apart element by element. The driver of
SQLite lets go of Python's lock for each row and has to get it back, all that time with the lock on the file
that heartbeats wait for.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

from sqlalchemy import Dialect, Table, TextClause, text

from heartbeat_central.storage.engine import Connection
from heartbeat_central.storage.types import Moment

_MOMENT = Moment()


def insert_rows(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows in this order, which all name the same columns, none of them of bytes."""
    if not rows:
        return
    statement = _insert(connection.dialect, table, tuple(rows[0]))
    connection.execute(statement, {"rows": _document(connection.dialect, rows)})


def update_rows(
    connection: Connection, table: Table, key: str, rows: Sequence[Mapping[str, Any]]
) -> None:
    """Set the columns of rows that are known by their column `key`, a number, one row for each key.

    Of no effect on rows that are gone. The caller holds the locks of the others, because PostgreSQL takes
    them in any order here.
    """
    if not rows:
        return
    statement = _update(connection.dialect, table, key, tuple(rows[0]))
    parameters = {"rows": _document(connection.dialect, rows)}
    if connection.dialect.name == "postgresql":
        parameters["keys"] = f"{{{','.join(str(row[key]) for row in rows)}}}"
    connection.execute(statement, parameters)


@lru_cache
def _insert(dialect: Dialect, table: Table, columns: tuple[str, ...]) -> TextClause:
    values = ", ".join(_value(dialect, name) for name in columns)
    return text(
        f"INSERT INTO {table.name} ({', '.join(columns)})"  # noqa: S608  names of ours
        f" SELECT {values} FROM {_given(dialect, table, columns)}"
    )


@lru_cache
def _update(dialect: Dialect, table: Table, key: str, columns: tuple[str, ...]) -> TextClause:
    changes = ", ".join(f"{name} = {_value(dialect, name)}" for name in columns if name != key)
    wanted = f"{table.name}.{key} = {_value(dialect, key)}"
    if dialect.name == "postgresql":
        # It takes any document for one of a hundred rows, and would rather read a whole table for those.
        wanted += f" AND {table.name}.{key} = ANY (CAST(:keys AS bigint[]))"
    return text(
        f"UPDATE {table.name} SET {changes} FROM {_given(dialect, table, columns)}"  # noqa: S608
        f" WHERE {wanted}"
    )


def _given(dialect: Dialect, table: Table, columns: Sequence[str]) -> str:
    if dialect.name == "sqlite":
        return "json_each(:rows) AS given"
    typed = ", ".join(f"{name} {table.c[name].type.compile(dialect)}" for name in columns)
    return f"json_to_recordset(CAST(:rows AS json)) AS given ({typed})"


def _value(dialect: Dialect, name: str) -> str:
    return f"json_extract(given.value, '$.{name}')" if dialect.name == "sqlite" else f"given.{name}"


def _document(dialect: Dialect, rows: Sequence[Mapping[str, Any]]) -> str:
    # Letters as they are: half a surrogate pair is refused, as in any other parameter.
    return json.dumps(rows, ensure_ascii=False, default=_plain(dialect))


def _plain(dialect: Dialect) -> Callable[[Any], Any]:
    def plain(value: Any) -> Any:
        if isinstance(value, datetime):
            stored = _MOMENT.process_bind_param(value, dialect)
            return stored.isoformat() if isinstance(stored, datetime) else stored
        if isinstance(value, UUID):
            return value.hex
        raise TypeError(f"{type(value).__name__} has no form in JSON")

    return plain

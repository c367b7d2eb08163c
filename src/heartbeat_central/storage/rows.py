"""Many rows, written by one statement.

psycopg carries out a list of rows row by row, in a pipeline: PostgreSQL then starts and ends a statement for
each. As an array a column it is one. SQLite, which runs in this process, takes them row by row.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Table,
    TableValuedAlias,
    bindparam,
    func,
    insert,
    literal,
    select,
    update,
)

from heartbeat_central.storage.engine import Connection


def insert_rows(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows, which all name the same columns."""
    if not rows:
        return
    if connection.dialect.name != "postgresql":
        connection.execute(insert(table), rows)
        return
    columns = list(rows[0])
    given = _given(table, columns, rows)
    connection.execute(
        insert(table).from_select(columns, select(*(given.c[name] for name in columns)))
    )


def update_rows(
    connection: Connection, table: Table, key: str, rows: Sequence[Mapping[str, Any]]
) -> None:
    """Set the columns of rows that are known by their column `key`, one row for each key.

    Of no effect on rows that are gone. The caller holds the locks of the others, because PostgreSQL takes
    them in any order here.
    """
    if not rows:
        return
    columns = [name for name in rows[0] if name != key]
    of: ColumnElement[Any]
    if connection.dialect.name != "postgresql":
        of = bindparam("of")
        statement = update(table).values({name: bindparam(f"new_{name}") for name in columns})
        connection.execute(
            statement.where(table.c[key] == of),
            [{"of": row[key], **{f"new_{name}": row[name] for name in columns}} for row in rows],
        )
        return
    given = _given(table, [key, *columns], rows)
    connection.execute(
        update(table)
        .values({name: given.c[name] for name in columns})
        .where(table.c[key] == given.c[key])
    )


def _given(
    table: Table, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]
) -> TableValuedAlias:
    arrays = [
        literal([row[name] for row in rows], ARRAY(table.c[name].type, dimensions=1))
        for name in columns
    ]
    return func.unnest(*arrays).table_valued(*columns, name="given").render_derived()

"""Ids drawn before the rows are written, so that rows which refer to each other go in bulk.

`INSERT … RETURNING` of a thousand rows is one statement with thousands of parameters, which takes
psycopg longer to read than PostgreSQL to carry out.
"""

from sqlalchemy import Connection, Table, text

_DRAW = text(
    "SELECT nextval(pg_get_serial_sequence(:name, 'id')) FROM generate_series(1, :count) ORDER BY 1"
)
_LAST = text("SELECT seq FROM sqlite_sequence WHERE name = :name")


def reserve(connection: Connection, table: Table, count: int) -> list[int]:
    """Return `count` ids for new rows, ascending. On SQLite only inside a write transaction.

    Insert them all in that transaction: SQLite gives ids that were not used to somebody else.
    """
    if connection.dialect.name == "postgresql":
        return list(connection.execute(_DRAW, {"name": table.name, "count": count}).scalars())
    last: int = connection.execute(_LAST, {"name": table.name}).scalar() or 0
    return list(range(last + 1, last + count + 1))

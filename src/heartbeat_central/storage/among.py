"""`column IN (…)` for many ids."""

from collections.abc import Iterable

from sqlalchemy import ARRAY, BigInteger, ColumnElement, any_, literal

from heartbeat_central.storage.engine import Connection


def among(
    connection: Connection, column: ColumnElement[int], ids: Iterable[int]
) -> ColumnElement[bool]:
    """Return the condition that `column` is one of `ids`, for use on this connection only.

    PostgreSQL gets them as one array. With a parameter for each id, psycopg takes longer to read a
    statement for five hundred of them than PostgreSQL to carry it out, and every other number of ids is
    another statement to prepare. SQLite is asked for fewer at once, and takes parameters as they are.
    """
    if connection.dialect.name == "postgresql":
        return column == any_(literal(list(ids), ARRAY(BigInteger)))
    return column.in_(list(ids))

"""Reads rows of which one may hold what no value can be made of; the others don't pay for it.

Rows are read in one go, as fast as ever. Only when that fails each is read for itself, and the bad one
column by column.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, Select
from sqlalchemy.exc import DataError, DBAPIError, OperationalError, SQLAlchemyError

_UNREADABLE_SQLITE = ("Could not decode to UTF-8", "malformed JSON")
"""What SQLite says, as if it were out of order itself."""

_FIRST = datetime(1, 1, 2, tzinfo=UTC)
_LAST = datetime(9999, 12, 30, tzinfo=UTC)


def is_readable(moment: ColumnElement[datetime]) -> ColumnElement[bool]:
    """Return the condition that a stored time is one that can be read.

    PostgreSQL knows some beyond Python's calendar, and `infinity`. On SQLite what is no number comes after
    all numbers.
    """
    return moment.between(_FIRST, _LAST)


class Damaged:
    """A row with columns that can't be read: they are None here, as attributes by name."""

    def __init__(self, values: Mapping[str, Any], unreadable: Mapping[str, str]) -> None:
        self.__dict__.update(values)
        self.unreadable = unreadable
        """Why, by the column's name."""


def rows(
    connection: Connection,
    query: Select[Any],
    key: Column[Any],
    parameters: Mapping[str, Any] | None = None,
) -> Sequence[Any]:
    """Return the rows of `query`, those that can't be read as Damaged. `key` tells them apart.

    What the database itself has to say is raised as always.
    """
    try:
        return connection.execute(query, parameters).all()
    except Exception as error:
        if not _is_about_data(error):
            raise
    keys = query.with_only_columns(key, maintain_column_froms=True)
    found = connection.execute(keys, parameters).scalars().all()
    alone = (_row(connection, query.where(key == one), parameters) for one in found)
    return [row for row in alone if row is not None]


class Unreadable:
    """Stands for a value that can't be read."""


def scalar(connection: Connection, query: Select[Any]) -> Any:
    """Return the one value of `query`, or an Unreadable."""
    try:
        return connection.execute(query).scalar()
    except Exception as error:
        if not _is_about_data(error):
            raise
        return Unreadable()


def damage(row: Any, *, but: str = "") -> str | None:
    """Return what of a row can't be read, as one sentence; None: nothing, or only the column `but`."""
    if not isinstance(row, Damaged):
        return None
    bad = [f"{name}: can't be read ({why})" for name, why in row.unreadable.items() if name != but]
    return "; ".join(bad) or None


def reason(error: Exception) -> str:
    """Return an error in one line, without the statement it came from."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    text = (str(cause).strip().splitlines() or [""])[0]
    return f"{type(cause).__name__}: {text}"[:300] if text else type(cause).__name__


def _row(connection: Connection, query: Select[Any], parameters: Mapping[str, Any] | None) -> Any:
    try:
        return connection.execute(query, parameters).first()
    except Exception as error:
        if not _is_about_data(error):
            raise
    values: dict[str, Any] = {}
    unreadable: dict[str, str] = {}
    for column in query.selected_columns:
        name = str(column.key)
        alone = query.with_only_columns(column, maintain_column_froms=True)
        try:
            values[name] = connection.execute(alone, parameters).scalar()
        except Exception as error:
            if not _is_about_data(error):
                raise
            values[name], unreadable[name] = None, reason(error)
    return Damaged(values, unreadable)


def _is_about_data(error: Exception) -> bool:
    if isinstance(error, DataError):
        return not error.connection_invalidated
    if isinstance(error, OperationalError):
        return any(words in str(error.orig) for words in _UNREADABLE_SQLITE)
    # What column types raise comes as it is.
    return not isinstance(error, SQLAlchemyError) and isinstance(
        error, (ValueError, TypeError, ArithmeticError, AttributeError)
    )

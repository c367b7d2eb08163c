"""Indexes on PostgreSQL, built while others write to the table."""

from sqlalchemy import Connection, text


def create_index(connection: Connection, name: str, definition: str) -> None:
    """Build an index as `definition` says (`ON table (column) WHERE ...`), unless it is there.

    `connection` must commit each statement (`Database.each_for_itself`). What an interrupted build left is
    built anew.
    """
    valid = connection.execute(
        text("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(:name)"),
        {"name": f'"{name}"'},
    ).scalar()
    if valid:
        return
    if valid is False:
        connection.execute(text(f'DROP INDEX CONCURRENTLY "{name}"'))
    connection.execute(text(f'CREATE INDEX CONCURRENTLY "{name}" {definition}'))


def partitions_of(connection: Connection, table: str) -> list[str]:
    """Return the names of a table's partitions: an index on the whole of it can't be built like that."""
    query = text(
        "SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid"
        " WHERE inhparent = to_regclass(:table) ORDER BY relname"
    )
    return list(connection.execute(query, {"table": table}).scalars())

"""A PostgreSQL database that one test after another gets as if it were new.

Making a database for each test takes a tenth of a second of processor time, emptying one a tenth of
that. After each test no row is left but those of the migrations, and every sequence begins again. Where
more than rows was touched, the database is dropped and the next test gets a new one:

- tables, indexes, partitions or settings were changed, even if that was undone, or tables analyzed;
- somebody is still connected, or a thread that the test began goes on, and may connect again.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from tests.support import postgres

MOST_ROWS = 5_000
"""So many deleted rows leave traces in files and indexes; then it is time for a new database."""
MOST_SECONDS = 0.5
"""How long a server may take to end a connection that its client has closed."""

# The transaction that wrote a row of a catalog changes with everything that is done to what it describes,
# also with a change and its undoing. Sizes are updated in place, and rows have no trace in the catalogs.
# 16384 is the first number that isn't PostgreSQL's own (access/transam.h).
_LAYOUT = """
SELECT count(*), sum(hashtextextended(kind || ' ' || number || ' ' || part || ' ' || writer, 0))::text
FROM (
    SELECT 'class' AS kind, oid AS number, 0 AS part, xmin::text AS writer FROM pg_class
    UNION ALL SELECT 'attribute', attrelid, attnum, xmin::text FROM pg_attribute
    UNION ALL SELECT 'default', oid, 0, xmin::text FROM pg_attrdef
    UNION ALL SELECT 'index', indexrelid, 0, xmin::text FROM pg_index
    UNION ALL SELECT 'constraint', oid, 0, xmin::text FROM pg_constraint
    UNION ALL SELECT 'trigger', oid, 0, xmin::text FROM pg_trigger
    UNION ALL SELECT 'rule', oid, 0, xmin::text FROM pg_rewrite
    UNION ALL SELECT 'partition', inhrelid, inhseqno, xmin::text FROM pg_inherits
    UNION ALL SELECT 'sequence', seqrelid, 0, xmin::text FROM pg_sequence
    UNION ALL SELECT 'function', oid, 0, xmin::text FROM pg_proc
    UNION ALL SELECT 'type', oid, 0, xmin::text FROM pg_type
    UNION ALL SELECT 'namespace', oid, 0, xmin::text FROM pg_namespace
    UNION ALL SELECT 'extension', oid, 0, xmin::text FROM pg_extension
    UNION ALL SELECT 'extended statistics', oid, 0, xmin::text FROM pg_statistic_ext
    UNION ALL SELECT 'setting', 16384, setrole::int, xmin::text FROM pg_db_role_setting
        WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())
) AS described
WHERE number >= 16384
"""
# What ANALYZE has found out of rows that are gone would still sway plans.
_IS_ANALYZED = (
    "SELECT EXISTS (SELECT FROM pg_stats"
    " WHERE schemaname NOT IN ('pg_catalog', 'information_schema'))"
)
_OTHERS = (
    "SELECT count(*) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    " AND backend_type = 'client backend'"
)
_TABLES = (
    "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"
)
_SEQUENCES = "SELECT relname FROM pg_class WHERE relkind = 'S' AND oid >= 16384"


_Connection = psycopg.Connection[tuple[Any, ...]]


class KeptDatabase:
    """Copies the template when it must. `delete_order` names the tables, those that refer to others first.

    Not for several threads.
    """

    def __init__(self, template: str, delete_order: Sequence[str]) -> None:
        self._server = postgres.server_url()
        self._template = template
        self._delete_order = delete_order
        self._now: _Made | None = None

    def __enter__(self) -> "KeptDatabase":
        return self

    def __exit__(self, *_: object) -> None:
        self._drop()

    @contextlib.contextmanager
    def lend(self) -> Iterator[str]:
        """Yield its URL. It is the caller's alone until the block ends."""
        made = self._now = self._now or self._make()
        threads = set(threading.enumerate())
        try:
            yield made.url
        finally:
            is_as_new = False
            # The caller may have dropped it, or have ended all connections.
            with contextlib.suppress(psycopg.Error):
                is_as_new = self._tidy_up(made) and threads.issuperset(threading.enumerate())
            if not is_as_new:
                self._drop()

    def _make(self) -> "_Made":
        database = contextlib.ExitStack()
        url = database.enter_context(postgres.fresh_database(self._template))
        connection = database.enter_context(psycopg.connect(url, autocommit=True))
        rows = {table: _copy_of(connection, table) for (table,) in connection.execute(_TABLES)}
        return _Made(
            url=url,
            connection=connection,
            layout=_layout(connection),
            rows={table: some for table, some in rows.items() if some},
            restart=_restart(connection),
            drop=database.close,
        )

    def _tidy_up(self, made: "_Made") -> bool:
        """Make it as new; return False where that can't be done."""
        if not _is_left_alone(made.connection):
            return False
        with made.connection.transaction():
            if _layout(made.connection) != made.layout:
                return False
            if made.connection.execute(_IS_ANALYZED).fetchone() != (False,):
                return False
            made.deleted += self._delete_rows(made)
            if made.deleted > MOST_ROWS:
                return False
            made.connection.execute(made.restart)
            for table, rows in made.rows.items():
                into = sql.SQL("COPY {} FROM STDIN").format(sql.Identifier(table))
                with made.connection.cursor().copy(into) as copy:
                    copy.write(rows)
        return True

    def _delete_rows(self, made: "_Made") -> int:
        tables = (*self._delete_order, *(made.rows.keys() - set(self._delete_order)))
        delete = sql.SQL("DELETE FROM {}")
        statements = sql.SQL(";").join(delete.format(sql.Identifier(table)) for table in tables)
        cursor = made.connection.execute(statements)
        return sum(result.rowcount for result in cursor.results())

    def _drop(self) -> None:
        if self._now:
            self._now.drop()
        self._now = None


@dataclass
class _Made:
    """A database, and what it was like when it was new."""

    url: str
    connection: _Connection
    layout: tuple[Any, ...]
    rows: dict[str, bytes]
    """The few that the migrations made, by table, as COPY gives them."""
    restart: sql.Composed
    """Sets every sequence back."""
    drop: Callable[[], None]
    deleted: int = 0
    """Rows, by all that had it."""


def _is_left_alone(connection: _Connection) -> bool:
    """Return whether nobody else is connected; one that ends just now is waited for.

    A transaction would see the same all the time.
    """
    end = time.monotonic() + MOST_SECONDS
    while connection.execute(_OTHERS).fetchone() != (0,):
        if time.monotonic() > end:
            return False
        time.sleep(0.002)
    return True


def _layout(connection: _Connection) -> tuple[Any, ...]:
    found = connection.execute(_LAYOUT).fetchone()
    assert found is not None
    return found


def _copy_of(connection: _Connection, table: str) -> bytes:
    statement = sql.SQL("COPY {} TO STDOUT").format(sql.Identifier(table))
    with connection.cursor().copy(statement) as copy:
        return b"".join(bytes(part) for part in copy)


def _restart(connection: _Connection) -> sql.Composed:
    parts = []
    for (name,) in connection.execute(_SEQUENCES).fetchall():
        state = connection.execute(
            sql.SQL("SELECT last_value, is_called FROM {}").format(sql.Identifier(name))
        ).fetchone()
        assert state is not None
        parts.append(sql.SQL("SELECT setval({}, {}, {})").format(name, *state))
    return sql.SQL(";").join(parts)

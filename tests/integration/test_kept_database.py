"""The PostgreSQL database that tests get one after another is as good as new each time."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from heartbeat_central.storage.engine import open_database
from heartbeat_central.storage.tables import metadata
from tests.conftest import migrated
from tests.support import kept_database, postgres
from tests.support.backups import fill
from tests.support.kept_database import KeptDatabase
from tests.support.world import World


@pytest.fixture(scope="module")
def template(postgres_server: str) -> str:
    return postgres.template_database("migrated", migrated)


@pytest.fixture(scope="module")
def kept(template: str) -> Iterator[KeptDatabase]:
    with KeptDatabase(template, [table.name for table in reversed(metadata.sorted_tables)]) as made:
        yield made


def everything(url: str) -> dict[str, Any]:
    """Return all rows, sequences, definitions and settings of a database, and who else is there."""
    found: dict[str, Any] = {}
    with psycopg.connect(url) as connection:

        def ask(query: str) -> list[tuple[Any, ...]]:
            return connection.execute(query.encode()).fetchall()

        for (table,) in ask(
            "SELECT relname FROM pg_class"
            " WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' ORDER BY 1"
        ):
            found[table] = ask(f"SELECT * FROM {table}")
        for (sequence,) in ask("SELECT sequencename FROM pg_sequences ORDER BY 1"):
            found[sequence] = ask(f"SELECT last_value, is_called FROM {sequence}")
        found["columns"] = ask(
            "SELECT table_name, column_name, data_type, is_nullable, column_default"
            " FROM information_schema.columns WHERE table_schema = 'public' ORDER BY 1, 2"
        )
        found["indexes"] = ask(
            "SELECT tablename, indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1, 2"
        )
        found["constraints"] = ask(
            "SELECT conrelid::regclass::text, pg_get_constraintdef(oid) FROM pg_constraint"
            " WHERE connamespace = 'public'::regnamespace ORDER BY 1, 2"
        )
        found["storage"] = ask(
            "SELECT relname, reloptions, pg_get_expr(relpartbound, oid) FROM pg_class"
            " WHERE relnamespace = 'public'::regnamespace ORDER BY 1"
        )
        found["statistics"] = ask("SELECT tablename FROM pg_stats WHERE schemaname = 'public'")
        found["settings"] = ask(
            "SELECT setconfig FROM pg_db_role_setting s JOIN pg_database d ON d.oid = setdatabase"
            " WHERE datname = current_database()"
        )
        found["locks"] = ask(
            "SELECT mode FROM pg_locks l JOIN pg_database d ON d.oid = l.database"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    return found


def test_what_a_test_wrote_is_gone_and_the_ids_begin_again(
    kept: KeptDatabase, template: str
) -> None:
    with postgres.fresh_database(template) as url:
        fresh = everything(url)
    with kept.lend() as first:
        database = open_database(first)
        world = World(database)
        fill(world)
        world.roll_up(24 * 3600)
        world.close()
        database.close()
        used = everything(first)
    with kept.lend() as second:
        assert everything(second) == fresh
    assert second == first, "it was not made anew"
    untouched = {name for name in fresh if used[name] == fresh[name]}
    assert {"applications", "projects", "heartbeats_id_seq", "rollup_progress"}.isdisjoint(
        untouched
    )


def test_ids_that_were_drawn_and_never_used_are_drawn_again(kept: KeptDatabase) -> None:
    with kept.lend() as first, psycopg.connect(first) as connection:
        connection.execute("SELECT nextval('applications_id_seq')")
        connection.rollback()
    with kept.lend() as second, psycopg.connect(second) as connection:
        assert connection.execute("SELECT nextval('applications_id_seq')").fetchone() == (1,)
    assert second == first


CHANGES = {
    "an index is gone": "DROP INDEX ix_alerts_created_at",
    "a table has another name": "ALTER TABLE alerts RENAME TO warnings",
    "a day of the history is gone": "DROP TABLE heartbeats_default",
    "a table is new": "CREATE TABLE notes (words text)",
    "a column is new": "ALTER TABLE alerts ADD COLUMN words text",
    "a default is new": "ALTER TABLE alerts ALTER COLUMN created_at SET DEFAULT 'now'",
    "how a table is stored": "ALTER TABLE alerts SET (fillfactor = 70)",
    "a trigger is off": "ALTER TABLE alerts DISABLE TRIGGER ALL",
    "a sequence": "ALTER SEQUENCE alerts_id_seq INCREMENT 7",
    "a function": "CREATE FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "a schema": "CREATE SCHEMA elsewhere",
    "a setting": "DO $$ BEGIN EXECUTE 'ALTER DATABASE ' || current_database()"
    " || ' SET lock_timeout = 7'; END $$",
    "statistics": "ANALYZE alembic_version",
    "a change that was undone": "ALTER TABLE alerts ADD COLUMN words text;"
    " ALTER TABLE alerts DROP COLUMN words",
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_after_a_change_of_more_than_rows_there_is_a_new_one(
    kept: KeptDatabase, change: str
) -> None:
    with kept.lend() as first, psycopg.connect(first) as connection:
        connection.execute(change.encode())
    with kept.lend() as second:
        assert second != first


def _many_rows(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(
            "INSERT INTO sign_in_tries (subject, tried_at)"
            f" SELECT 'x', now() FROM generate_series(1, {kept_database.MOST_ROWS + 1})"
        )


def _dropped(url: str) -> None:
    with psycopg.connect(postgres.server_url(), autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {postgres.database_name(url)} WITH (FORCE)".encode())


@pytest.mark.parametrize("misuse", [_many_rows, _dropped])
def test_after_a_misuse_there_is_a_new_one(
    kept: KeptDatabase, misuse: Callable[[str], None]
) -> None:
    with kept.lend() as first:
        misuse(first)
    with kept.lend() as second:
        assert second != first


def test_who_is_still_connected_is_cut_off(kept: KeptDatabase) -> None:
    with kept.lend() as first:
        stray = psycopg.connect(first)
        stray.execute("LOCK TABLE applications")
    with pytest.raises(psycopg.OperationalError):
        stray.execute("SELECT 1")
    stray.close()
    with kept.lend() as second:
        assert second != first


def test_a_thread_that_goes_on_does_not_reach_into_the_next_test(kept: KeptDatabase) -> None:
    end = threading.Event()
    with kept.lend() as first:
        thread = threading.Thread(target=end.wait)
        thread.start()
    with kept.lend() as second:
        assert second != first
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(first)
    end.set()
    thread.join()

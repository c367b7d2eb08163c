"""Migrations: the same schema on both databases, made once however many start at once."""

from concurrent.futures import ThreadPoolExecutor

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from heartbeat_central.storage import migrate
from heartbeat_central.storage.engine import Database, open_database
from heartbeat_central.storage.tables import metadata


def test_brings_an_empty_database_to_the_newest_revision(database_url: str) -> None:
    database = open_database(database_url)
    assert migrate.current_revision(database) is None
    migrate.upgrade(database)
    assert migrate.current_revision(database) == migrate.newest_revision()
    migrate.upgrade(database)
    database.close()


def test_processes_that_start_together_migrate_once(database_url: str) -> None:
    databases = [open_database(database_url) for _ in range(4)]
    with ThreadPoolExecutor(4) as nodes:
        list(nodes.map(migrate.upgrade, databases))
    assert migrate.current_revision(databases[0]) == migrate.newest_revision()
    for database in databases:
        database.close()


def test_the_migrations_make_what_the_tables_say(database: Database) -> None:
    def ours(thing: object, name: str | None, kind: str, *_: object) -> bool:
        # Daily partitions come and go. The partitioned history has no primary key on purpose.
        return not (kind == "table" and (name or "").startswith("heartbeats_"))

    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"include_object": ours})
        assert compare_metadata(context, metadata) == []

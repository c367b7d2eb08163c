"""Migrations: the same schema on both databases, made once, with what was stored before still there."""

import io
import re
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Inspector, Table, insert, inspect, select, text

from heartbeat_central.domain.alert import AlertKind
from heartbeat_central.domain.errors import UnknownSchema
from heartbeat_central.domain.signal import SignalKind
from heartbeat_central.domain.state import State, Status
from heartbeat_central.services.back_up import back_up
from heartbeat_central.storage import (
    api_keys,
    applications,
    channels,
    heartbeats,
    incidents,
    migrate,
    outbox,
    states,
    tables,
    users,
)
from heartbeat_central.storage.engine import Database, open_database
from heartbeat_central.storage.migrations import versions
from heartbeat_central.storage.outbox import DeliveryStatus
from tests.support import postgres, rows
from tests.support.rows import NOON, at

REVISIONS = sorted(one.name[:4] for one in Path(versions.__path__[0]).glob("0*.py"))


@pytest.fixture
def empty(database_url: str) -> Iterator[Database]:
    """Each of the two databases in turn, without a table."""
    database = open_database(database_url)
    yield database
    database.close()


@pytest.fixture
def database(empty: Database) -> Database:
    """Each of the two databases in turn, its tables in place."""
    migrate.upgrade(empty)
    return empty


def upgrade_to(database: Database, revision: str) -> None:
    with database.write() as connection:
        migrate.upgrade_to(connection, revision)


def test_brings_an_empty_database_to_the_newest_revision(empty: Database) -> None:
    assert migrate.current_revision(empty) is None
    for _ in range(2):
        migrate.upgrade(empty)
        assert migrate.current_revision(empty) == migrate.newest_revision()


def test_processes_that_start_together_migrate_once(database_url: str) -> None:
    databases = [open_database(database_url) for _ in range(4)]
    with ThreadPoolExecutor(4) as nodes:
        list(nodes.map(migrate.upgrade, databases))
    assert migrate.current_revision(databases[0]) == migrate.newest_revision()
    for database in databases:
        database.close()


def test_revisions_form_one_chain_in_the_order_of_their_files() -> None:
    assert [f"{number:04}" for number in range(1, len(REVISIONS) + 1)] == REVISIONS
    chain = ScriptDirectory(str(Path(versions.__path__[0]).parent)).walk_revisions()
    assert [one.revision for one in chain] == REVISIONS[::-1]
    assert migrate.newest_revision() == REVISIONS[-1]
    assert all(map(migrate.is_known, REVISIONS))
    assert not migrate.is_known("9999")


def make_newer(database: Database, works_with: str | None) -> None:
    """Leave the tables as a version to come does, whose revision nobody knows here."""
    with database.write() as connection:
        connection.execute(
            text("UPDATE alembic_version SET version_num = '9999', works_with = :oldest"),
            {"oldest": works_with},
        )


@pytest.mark.parametrize("works_with", ["9998", "9999", None])
def test_tables_of_a_newer_version_that_this_one_cant_work_with_stop_it(
    database: Database, works_with: str | None
) -> None:
    make_newer(database, works_with)
    with pytest.raises(UnknownSchema, match=r"revision 9999.* can't work with them; use the"):
        migrate.upgrade(database)
    assert not migrate.fits(database)
    assert migrate.current_revision(database) == "9999"


@pytest.mark.parametrize("works_with", [REVISIONS[-1], REVISIONS[-2]])
def test_tables_of_a_newer_version_that_this_one_works_with_are_left_as_they_are(
    database: Database, works_with: str
) -> None:
    make_newer(database, works_with)
    before = described(database)
    migrate.upgrade(database)
    assert migrate.fits(database)
    assert migrate.current_revision(database) == "9999"
    assert described(database) == before
    # What is new in them would be missing from it.
    with pytest.raises(UnknownSchema, match="leave out"):
        back_up(database, io.BytesIO(), now=NOON, on_progress=lambda _done, _all: None)


def test_only_tables_that_are_up_to_date_or_newer_fit(empty: Database) -> None:
    assert not migrate.fits(empty)
    for revision in REVISIONS:
        upgrade_to(empty, revision)
        assert migrate.fits(empty) == (revision == REVISIONS[-1])


def test_each_revision_says_with_which_older_code_it_works(empty: Database) -> None:
    """For one release: two nodes of which one is upgraded first must both be able to restart."""
    for before, revision in pairwise(REVISIONS):
        upgrade_to(empty, revision)
        if revision < "0010":
            continue
        with empty.read() as connection:
            oldest = connection.execute(text("SELECT works_with FROM alembic_version")).scalar_one()
        assert oldest <= before, f"{revision} must declare works_with"


def test_a_migration_that_fails_leaves_the_revision_before_it(empty: Database) -> None:
    upgrade_to(empty, REVISIONS[-2])
    before = described(empty)

    def fail(connection: Connection) -> None:
        migrate.upgrade_to(connection, "head")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), empty.write() as connection:
        fail(connection)
    assert migrate.current_revision(empty) == REVISIONS[-2]
    assert described(empty) == before


def test_code_of_the_revision_before_still_works_on_each(empty: Database) -> None:
    """Nodes are upgraded one by one: nothing is taken away, and nothing new must be filled in."""
    before: Mapping[str, Any] = {}
    for revision in REVISIONS:
        upgrade_to(empty, revision)
        assert migrate.current_revision(empty) == revision
        after = described(empty)
        for name, table in before.items():
            for column, was in table["columns"].items():
                assert after[name]["columns"][column] == was, f"{revision}: {name}.{column}"
            for column in after[name]["columns"].keys() - table["columns"].keys():
                new = after[name]["columns"][column]
                optional = new["nullable"] or new["default"] is not None
                assert optional, f"{revision}: {name}.{column} must be filled in"
            unique = after[name]["unique"] - table["unique"]
            assert not unique, f"{revision}: {name} may hold what {unique} forbids"
        before = after


def test_the_migrations_make_what_the_tables_say(database: Database) -> None:
    def ours(thing: object, name: str | None, kind: str, *_: object) -> bool:
        # Daily partitions come and go. The partitioned history has no primary key on purpose.
        return not (kind == "table" and (name or "").startswith("heartbeats_"))

    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"include_object": ours})
        assert compare_metadata(context, tables.metadata) == []


def test_they_differ_in_nothing_else_either(database: Database, tmp_path: Path) -> None:
    """Partial indexes, what a deletion takes along, fill factors, comments: Alembic compares none of them."""
    with plain(database, tmp_path) as made:
        expected = described(made)
    migrated = described(database)
    del migrated["alembic_version"]
    if database.dialect == "postgresql":
        for one in (expected, migrated):
            # Partitioned, and with less to write: see the first migration.
            columns = one.pop("heartbeats")["columns"]
            for column in columns.values():
                column.pop("default")
            one["columns of heartbeats"] = columns
    assert migrated == expected


@contextmanager
def plain(database: Database, folder: Path) -> Iterator[Database]:
    """Yield a database of the same kind with the tables made as they are declared."""
    if database.dialect == "sqlite":
        made = open_database(f"sqlite:///{folder / 'plain.sqlite3'}")
        with made.write() as connection:
            tables.metadata.create_all(connection)
        yield made
        made.close()
        return
    with postgres.fresh_database() as url:
        made = open_database(url)
        with made.write() as connection:
            tables.metadata.create_all(connection)
        yield made
        made.close()


def described(database: Database) -> dict[str, Any]:
    """Return all there is to say of every table, whatever the order of its columns."""
    with database.read() as connection:
        inspector = inspect(connection)
        return {
            name: _described(connection, inspector, name)
            for name in inspector.get_table_names()
            if not name.startswith(("heartbeats_", "sqlite_"))
        }


def _described(connection: Connection, inspector: Inspector, name: str) -> dict[str, Any]:
    columns = {one["name"]: one for one in inspector.get_columns(name)}
    for column in columns.values():
        column["type"] = str(column["type"])  # type: ignore[typeddict-item]
    unique = {str(one["name"]) for one in inspector.get_unique_constraints(name)}
    unique |= {str(one["name"]) for one in inspector.get_indexes(name) if one["unique"]}
    return {
        "columns": columns,
        "key": inspector.get_pk_constraint(name),
        "foreign keys": sorted(inspector.get_foreign_keys(name), key=lambda one: str(one["name"])),
        "unique": unique,
        "indexes": sorted(map(_index, inspector.get_indexes(name)), key=str),
        "options": _options(connection, name),
    }


def _index(index: Any) -> dict[str, Any]:
    options = {
        option: re.sub(r"^\((.*)\)$", r"\1", str(value))
        for option, value in index.get("dialect_options", {}).items()
    }
    return {**index, "dialect_options": options}


def _options(connection: Connection, name: str) -> object:
    if connection.dialect.name == "postgresql":
        query = text("SELECT reloptions FROM pg_class WHERE oid = to_regclass(:name)")
        return connection.execute(query, {"name": name}).scalar()
    query = text("SELECT sql FROM sqlite_master WHERE type = 'table' AND name = :name")
    sql = connection.execute(query, {"name": name}).scalar_one()
    return [word for word in ("AUTOINCREMENT", "WITHOUT ROWID") if word in sql]


# --- what was stored before


class Before:
    """What the first version stored: a row in each of its tables."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.project_id = rows.project(connection)
        about = {"project_id": self.project_id}
        when = {"created_at": NOON, "updated_at": NOON}
        self.user_id = self._add(tables.users, email="a@b.c", password_hash="h", created_at=NOON)
        self._put(tables.members, **about, user_id=self.user_id, role="owner")
        self._put(
            tables.sessions,
            token_hash=b"t" * 32,
            user_id=self.user_id,
            created_at=NOON,
            expires_at=at(9),
        )
        self._put(
            tables.api_keys,
            **about,
            name="key",
            scope="read",
            prefix="hc",
            key_hash=b"k" * 32,
            created_at=NOON,
        )
        self.channel_id = self._add(
            tables.channels,
            **about,
            **when,
            name="hook",
            type="webhook",
            config="s",
            is_active=True,
        )
        self.application_id = self._add(
            tables.applications,
            **about,
            **when,
            uuid=uuid4(),
            name="Backup",
            slug="backup",
            description="",
            tags=[],
            expected_interval=60,
            grace_period=10,
            expect_first_heartbeat=True,
        )
        self._put(
            tables.application_states,
            application_id=self.application_id,
            status="down",
            armed_at=NOON,
            last_heartbeat_at=at(1),
        )
        self._put(
            tables.subscriptions, application_id=self.application_id, channel_id=self.channel_id
        )
        self.incident_ids = [
            self._add(
                tables.incidents,
                **about,
                application_id=self.application_id,
                reason="failed",
                opened_at=at(opened),
                closed_at=closed,
            )
            for opened, closed in ((2, at(3)), (4, None))
        ]
        alert = rows.alert(application_id=self.application_id, incident_id=self.incident_ids[1])
        alert_id = self._add(
            tables.alerts, **about, kind="down", snapshot=alert.as_json(), created_at=NOON
        )
        self.delivery_id = self._add(
            tables.deliveries,
            uuid=uuid4(),
            alert_id=alert_id,
            channel_id=self.channel_id,
            application_id=self.application_id,
            status="pending",
            attempt=1,
            due_at=at(9),
            created_at=NOON,
        )
        self._put(
            tables.delivery_attempts,
            delivery_id=self.delivery_id,
            attempt=1,
            started_at=NOON,
            finished_at=at(1),
            outcome="failed",
            detail="HTTP 500",
        )
        self._put(
            tables.heartbeats,
            application_id=self.application_id,
            kind=int(SignalKind.FAIL),
            received_at=at(4),
            method="GET",
            body_size=3,
            body=b"\x00\xff!",
        )

    def _put(self, table: Table, **values: Any) -> None:
        self._connection.execute(insert(table).values(**values))

    def _add(self, table: Table, **values: Any) -> int:
        statement = insert(table).values(**values).returning(table.c.id)
        return int(self._connection.execute(statement).scalar_one())


def test_what_the_first_version_stored_is_read_by_this_one(empty: Database) -> None:
    upgrade_to(empty, "0001")
    with empty.write() as connection:
        before = Before(connection)
    migrate.upgrade(empty)
    with empty.read() as connection:
        application = applications.load(connection, before.application_id)
        assert application.channel_ids == (before.channel_id,)
        assert states.load_many(connection, [application.id])[application.id] == State(
            status=Status.DOWN, armed_at=NOON, last_heartbeat_at=at(1)
        )
        found = incidents.page(connection, before.project_id, limit=9)
        assert [(one.id, one.closed_at) for one in found] == [
            (before.incident_ids[1], None),
            (before.incident_ids[0], at(3)),
        ]
        (heartbeat,) = heartbeats.page(connection, application.id, limit=9)
        assert (heartbeat.body, heartbeat.received_at) == (b"\x00\xff!", at(4))
        delivery = outbox.find(connection, before.project_id, before.channel_id, before.delivery_id)
        assert (delivery.kind, delivery.status, delivery.merged_into) == (
            *(AlertKind.DOWN, DeliveryStatus.PENDING),
            None,
        )
        assert channels.pasts(connection, [before.channel_id])[before.channel_id].last_error
        assert channels.find(connection, before.project_id, before.channel_id).is_active
        assert users.session_user(connection, b"t" * 32, now=NOON) is not None
        assert api_keys.by_hash(connection, b"k" * 32) is not None


def test_ids_go_on_behind_those_of_the_first_version(empty: Database) -> None:
    upgrade_to(empty, "0001")
    with empty.write() as connection:
        before = Before(connection)
        old = connection.execute(select(tables.heartbeats.c.id)).scalar_one()
    migrate.upgrade(empty)
    with empty.write() as connection:
        applications.remove(connection, before.application_id)
        channels.remove(connection, before.channel_id)
        assert rows.application(connection, before.project_id) > before.application_id
        assert rows.channel(connection, before.project_id) > before.channel_id
        connection.execute(
            insert(tables.heartbeats).values(
                application_id=1, kind=0, received_at=NOON, method="GET", body_size=0
            )
        )
        assert heartbeats.newest_id(connection) > old

"""What a transaction promises: all or nothing, what it sees of others, and errors that callers know."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import Connection, insert, select, text
from sqlalchemy.exc import IntegrityError

from heartbeat_central.domain.errors import Conflict, StorageUnavailable
from heartbeat_central.storage import tables
from heartbeat_central.storage.clock import database_time
from heartbeat_central.storage.engine import Database, open_database
from tests.conftest import migrated
from tests.support import rows
from tests.support.rows import NOON, on_postgresql

SECRET = "a secret name"


class Regret(Exception):
    pass


def projects(database: Database) -> int:
    with database.read() as connection:
        return rows.count(connection, tables.projects)


def test_an_error_undoes_the_whole_transaction(database: Database) -> None:
    def regret(connection: Connection) -> None:
        rows.application(connection, rows.project(connection))
        raise Regret

    with pytest.raises(Regret), database.write() as connection:
        regret(connection)
    with database.read() as connection:
        for table in (tables.projects, tables.applications, tables.application_states):
            assert rows.count(connection, table) == 0


def test_others_see_nothing_of_a_transaction_before_its_end(database: Database) -> None:
    with database.write() as writing:
        rows.project(writing)
        assert projects(database) == 0
    assert projects(database) == 1


def test_reading_sees_one_moment_of_sqlite_and_what_is_committed_on_postgresql(
    database: Database,
) -> None:
    with database.read() as reading:
        assert rows.count(reading, tables.projects) == 0
        with database.write() as writing:
            rows.project(writing)
        seen = rows.count(reading, tables.projects)
    assert seen == {"sqlite": 0, "postgresql": 1}[database.dialect]


def test_a_snapshot_sees_one_moment(database: Database) -> None:
    for before in (0, 1):
        with database.snapshot() as reading:
            assert rows.count(reading, tables.projects) == before
            with database.write() as writing:
                rows.project(writing)
            assert rows.count(reading, tables.projects) == before


@on_postgresql
def test_a_snapshot_writes_nothing(database: Database) -> None:
    with pytest.raises(StorageUnavailable, match="read-only"), database.snapshot() as connection:
        rows.project(connection)


def without_a_project(connection: Connection) -> None:
    rows.channel(connection, rows.LARGEST, SECRET)


def twice_under_one_index(connection: Connection) -> None:
    for _ in range(2):
        values = {"email": "ada@example.com", "password_hash": SECRET, "created_at": NOON}
        connection.execute(insert(tables.users).values(**values))


def twice_under_one_key(connection: Connection) -> None:
    user = insert(tables.users).values(email="a@b.c", password_hash=SECRET, created_at=NOON)
    user_id = connection.execute(user.returning(tables.users.c.id)).scalar_one()
    project_id = rows.project(connection)
    for _ in range(2):
        values = {"project_id": project_id, "user_id": user_id, "role": SECRET}
        connection.execute(insert(tables.members).values(**values))


@pytest.mark.parametrize(
    "contradict", [without_a_project, twice_under_one_index, twice_under_one_key]
)
def test_what_contradicts_what_is_stored_is_a_conflict(
    database: Database, contradict: Callable[[Connection], None]
) -> None:
    with pytest.raises(Conflict, match=r"(?i)constraint") as caught, database.write() as connection:
        contradict(connection)
    assert SECRET not in str(caught.value)
    assert projects(database) == 0


def test_a_mistake_of_the_program_stays_one_and_its_values_stay_out_of_logs(
    database: Database,
) -> None:
    nothing = insert(tables.users).values(email=SECRET, password_hash=None, created_at=NOON)
    with pytest.raises(IntegrityError) as caught, database.write() as connection:
        connection.execute(nothing)
    written = str(caught.value).replace(str(caught.value.orig), "")
    assert SECRET not in written


def uses(database: Database) -> Iterator[Callable[[], object]]:
    @contextmanager
    def ping() -> Iterator[None]:
        database.ping()
        yield

    opened: tuple[Callable[[], AbstractContextManager[object]], ...] = (
        *(database.read, database.write, database.snapshot),
        ping,
    )
    for one in opened:

        def use(one: Callable[[], AbstractContextManager[object]] = one) -> None:
            with one():
                pass

        yield use


def test_a_database_that_is_away_is_unavailable_to_every_use(tmp_path: Path) -> None:
    for url in (
        "postgresql://user:sesame@127.0.0.1:1/nothing",
        f"sqlite:///{tmp_path / 'missing' / 'heartbeat.sqlite3'}",
    ):
        database = open_database(url)
        for use in uses(database):
            with pytest.raises(StorageUnavailable) as caught:
                use()
            assert "sesame" not in str(caught.value)
        database.close()


def pid(connection: Connection) -> int:
    return connection.execute(text("SELECT pg_backend_pid()")).scalar_one()


def hang_up(connection: Connection, other: int) -> None:
    connection.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": other})


@on_postgresql
def test_a_server_that_hangs_up_costs_the_transaction(database: Database) -> None:
    def write(connection: Connection) -> None:
        rows.project(connection)
        with database.read() as other:
            hang_up(other, pid(connection))
        rows.project(connection)

    with pytest.raises(StorageUnavailable), database.write() as connection:
        write(connection)
    assert projects(database) == 0


@on_postgresql
def test_a_server_that_hangs_up_between_two_transactions_costs_nothing(database: Database) -> None:
    with database.read() as other:
        with database.read() as connection:
            gone = pid(connection)
        hang_up(other, gone)
        with database.read() as connection:
            assert pid(connection) != gone


@on_postgresql
def test_a_statement_that_takes_too_long_is_ended(database: Database) -> None:
    sleep = text("SET LOCAL statement_timeout = 20; SELECT pg_sleep(30)")
    with pytest.raises(StorageUnavailable, match="timeout"), database.write() as connection:
        connection.execute(sleep)


def test_a_full_disk_is_an_unavailable_database_that_can_still_be_read(sqlite_url: str) -> None:
    migrated(sqlite_url)
    database = open_database(sqlite_url)
    with database.write() as connection:
        made = rows.project(connection)
        pages = connection.execute(text("PRAGMA page_count")).scalar_one()
        connection.execute(text(f"PRAGMA max_page_count = {pages}"))
    with pytest.raises(StorageUnavailable, match="full"), database.write() as connection:
        rows.channel(connection, made, sealed_config="x" * 1_000_000)
    with database.read() as connection:
        assert rows.count(connection, tables.channels) == 0
        assert rows.count(connection, tables.projects) == 1
    database.close()


@pytest.mark.parametrize(
    "moment",
    [
        NOON + timedelta(microseconds=123_456),
        datetime(1970, 1, 1, tzinfo=UTC) - timedelta(microseconds=1),
        datetime(1, 1, 2, tzinfo=UTC),
        datetime(9999, 12, 30, 23, 59, 59, 999_999, tzinfo=UTC),
        datetime(2026, 11, 23, 14, 45, 0, 1, tzinfo=timezone(timedelta(hours=5, minutes=45))),
    ],
)
def test_a_moment_comes_back_exact_and_in_utc(connection: Connection, moment: datetime) -> None:
    connection.execute(
        insert(tables.nodes).values(id=uuid4(), started_at=moment, seen_at=moment, stopped_at=None)
    )
    stored = connection.execute(select(tables.nodes)).one()
    assert stored.seen_at == moment
    assert stored.seen_at.tzinfo is UTC
    assert stored.stopped_at is None
    # It compares as the moment it is, whatever the zone it is given in.
    found = select(tables.nodes.c.id).where(
        tables.nodes.c.seen_at <= moment,
        tables.nodes.c.seen_at > moment - timedelta(microseconds=1),
    )
    assert connection.execute(found).all()


def test_a_moment_without_a_zone_is_refused(connection: Connection) -> None:
    with pytest.raises(Exception, match="must be aware"), connection.begin_nested():
        connection.execute(
            insert(tables.nodes).values(
                id=uuid4(), started_at=NOON.replace(tzinfo=None), seen_at=NOON
            )
        )


def test_only_a_server_has_a_clock_of_its_own(database: Database) -> None:
    found = database_time(database)
    if database.dialect == "sqlite":
        assert found is None
    else:
        assert found is not None
        assert found.tzinfo is UTC
        assert abs(found - datetime.now(UTC)) < timedelta(minutes=1)

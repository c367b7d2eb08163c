"""What callers hear of a database that is lost, damaged, gone or closed to writing."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from heartbeat_central.domain.errors import Invalid, StorageUnavailable
from heartbeat_central.storage.engine import Database, open_database
from heartbeat_central.storage.engine_sqlite import expect_version


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "heartbeat.sqlite3"


@pytest.fixture
def sqlite(file: Path) -> Iterator[Database]:
    """A SQLite database of one table, all of it in its file."""
    database = open_database(f"sqlite:///{file}")
    with database.write() as connection:
        connection.execute(text("CREATE TABLE notes (words TEXT)"))
    with sqlite3.connect(file) as other:
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    other.close()
    yield database
    database.close()


def write_note(database: Database) -> None:
    with database.write() as connection:
        connection.execute(text("INSERT INTO notes VALUES ('kept')"))


def damage(file: Path) -> None:
    """Overwrite all pages, as a failing disk or another program may."""
    file.write_bytes(b"garbage!" * (file.stat().st_size // 8))


def test_a_damaged_file_is_an_unavailable_database(sqlite: Database, file: Path) -> None:
    damage(file)
    for use in (write_note, Database.ping):
        with pytest.raises(StorageUnavailable, match="file is not a database"):
            use(sqlite)


def test_a_damaged_page_is_an_unavailable_database(sqlite: Database, file: Path) -> None:
    with file.open("r+b") as pages:
        pages.seek(4096)
        pages.write(b"garbage!" * 512)
    with pytest.raises(StorageUnavailable, match="malformed"):
        write_note(sqlite)


def test_a_file_that_was_put_back_is_used_without_a_restart(sqlite: Database, file: Path) -> None:
    whole = file.read_bytes()
    damage(file)
    with pytest.raises(StorageUnavailable):
        sqlite.ping()
    file.write_bytes(whole)
    write_note(sqlite)


def test_nothing_is_written_to_a_file_that_was_removed(sqlite: Database, file: Path) -> None:
    whole = file.read_bytes()
    write_note(sqlite)
    for left in file.parent.iterdir():
        left.unlink()
    for use in (write_note, Database.ping):
        with pytest.raises(StorageUnavailable, match=r"heartbeat\.sqlite3 is gone"):
            use(sqlite)
    assert not file.exists(), "an empty database would look like a whole one"

    file.write_bytes(whole)
    write_note(sqlite)
    with sqlite3.connect(file) as other:
        assert other.execute("SELECT words FROM notes").fetchall() == [("kept",)]
    other.close()


def test_a_standby_that_only_reads_is_left_for_the_primary(postgres_url: str) -> None:
    """After a failover connections may still lead to the old server; the next one asks again."""
    database = open_database(postgres_url, pool_size=1)
    try:
        with database.write() as connection:
            connection.execute(text("CREATE TABLE notes (words TEXT)"))
            connection.execute(text("SET default_transaction_read_only = on"))
        with pytest.raises(StorageUnavailable, match="read-only transaction"):
            write_note(database)
        write_note(database)
    finally:
        database.close()


def test_options_of_the_url_reach_postgresql_beside_our_own(postgres_url: str) -> None:
    database = open_database(f"{postgres_url}?options=-c%20lock_timeout%3D7s")
    try:
        with database.read() as connection:
            for name, value in (("lock_timeout", "7s"), ("statement_timeout", "30s")):
                assert connection.execute(text(f"SHOW {name}")).scalar() == value
    finally:
        database.close()


def test_limits_of_time_hold_again_after_work_that_had_none(postgres_url: str) -> None:
    database = open_database(postgres_url, pool_size=1, patience=4)
    try:
        with database.each_for_itself() as connection:
            assert connection.execute(text("SHOW statement_timeout")).scalar() == "0"
        with database.read() as connection:
            assert connection.execute(text("SHOW statement_timeout")).scalar() == "4s"
    finally:
        database.close()


def test_a_sqlite_that_is_too_old_is_told_with_what_to_do() -> None:
    expect_version((3, 35, 0))
    with pytest.raises(Invalid, match=r"brings 3\.34\.1 and 3\.35 is needed; use a Python"):
        expect_version((3, 34, 1))

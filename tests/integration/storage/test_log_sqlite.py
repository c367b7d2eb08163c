"""SQLite's log is moved into the file beside those who write, not by their commits."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Connection, event, text

from heartbeat_central.domain.errors import StorageUnavailable
from heartbeat_central.storage.engine import Database, open_database
from heartbeat_central.storage.engine_sqlite import LONG_LOG, LONGEST_LOG
from heartbeat_central.storage.log_sqlite import FEW_PAGES, _checkpoint, move_log

A_PAGE = "x" * 3000
"""Of words: a row of them takes a page of its own."""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "heartbeat.sqlite3"


@pytest.fixture
def database(file: Path) -> Iterator[Database]:
    """A SQLite database of one table."""
    opened = open_database(f"sqlite:///{file}")
    with opened.write() as connection:
        connection.execute(text("CREATE TABLE notes (words TEXT)"))
    yield opened
    opened.close()


def write(database: Database, rows: int) -> None:
    with database.write() as connection:
        add(connection, rows)


def add(connection: Connection, rows: int) -> None:
    note = text("INSERT INTO notes VALUES (:words)")
    connection.execute(note, [{"words": A_PAGE}] * rows)


def pages(file: Path) -> tuple[int, int]:
    """Return the pages in the log, and those of them that are in the file as well."""
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        return _checkpoint(other)


def beside(work: threading.Thread) -> None:
    work.start()
    work.join(10)
    assert not work.is_alive(), "it had to wait"


def test_commits_leave_the_file_alone(database: Database, file: Path) -> None:
    before = file.read_bytes()
    for _ in range(3):
        write(database, LONG_LOG)
    assert file.read_bytes() == before


def test_a_short_log_stays_where_it_is(database: Database, file: Path) -> None:
    write(database, LONG_LOG - 1)
    before = file.read_bytes()
    assert not move_log(database)
    assert file.read_bytes() == before


def test_who_writes_tells_once_that_the_log_is_long(database: Database) -> None:
    told: list[bool] = []
    database.log.when_long(lambda: told.append(database.log.is_long))
    for _ in range(5):
        write(database, LONG_LOG // 4)
    assert told == [True]


def test_the_log_begins_anew_with_the_write_after_it_was_moved(
    database: Database, file: Path
) -> None:
    write(database, LONG_LOG)
    assert move_log(database)
    assert not database.log.is_long
    write(database, 1)
    assert pages(file)[0] < 10


def test_most_is_moved_while_others_write_and_a_few_pages_in_a_turn(database: Database) -> None:
    write(database, LONG_LOG)
    waiting = threading.Thread(target=write, args=(database, 1))
    seen: list[tuple[int, int]] = []

    def checkpoint(connection: sqlite3.Connection) -> tuple[int, int]:
        def during_a_write(rows: int) -> None:
            with database.write() as writing:
                add(writing, rows)
                seen.append(_checkpoint(connection))

        # What the first write leaves is too much to be moved in a turn.
        if rows := {0: FEW_PAGES + 1, 1: 20}.get(len(seen)):
            beside(threading.Thread(target=during_a_write, args=(rows,)))
            return seen[-1]
        if len(seen) == 3:
            waiting.start()
            waiting.join(0.05)
            assert waiting.is_alive(), "who writes now waits for its turn"
        seen.append(_checkpoint(connection))
        return seen[-1]

    assert move_log(database, checkpoint=checkpoint)
    waiting.join(10)
    assert len(seen) == 4
    logged, moved = seen[-1]
    assert logged == moved, "all of it was moved"


def test_a_log_that_began_anew_meanwhile_needs_no_turn(database: Database) -> None:
    write(database, LONG_LOG)
    seen: list[tuple[int, int]] = []

    def checkpoint(connection: sqlite3.Connection) -> tuple[int, int]:
        seen.append(_checkpoint(connection))
        # All of it is moved, and nobody is writing.
        beside(threading.Thread(target=write, args=(database, 1)))
        return seen[-1]

    assert move_log(database, checkpoint=checkpoint)
    assert not database.log.is_long


def test_a_reader_that_takes_long_keeps_the_log_and_holds_up_nobody(
    database: Database, file: Path
) -> None:
    write(database, 10)
    with database.read() as reader:
        assert reader.execute(text("SELECT count(*) FROM notes")).scalar() == 10
        write(database, LONG_LOG)
        assert not move_log(database)
        assert database.log.is_long
        assert reader.execute(text("SELECT count(*) FROM notes")).scalar() == 10
    assert move_log(database)
    write(database, 1)
    assert pages(file)[0] < 10


def test_a_log_that_may_fill_the_disk_is_moved_however_long_it_is(
    database: Database, file: Path
) -> None:
    write(database, 10)
    pages_now = file.stat().st_size // 4096 + 20

    def limit(connection: sqlite3.Connection, *_: object) -> None:
        connection.execute(f"PRAGMA max_page_count={pages_now}")

    event.listen(database.engine, "checkout", limit)
    with pytest.raises(StorageUnavailable, match="full"):
        write(database, 100)
    assert database.log.is_long
    assert move_log(database)


def test_nobody_else_need_move_it(database: Database, file: Path) -> None:
    """Should the service not come to it, SQLite does, or the log would fill the disk."""
    for _ in range(10):
        write(database, LONG_LOG)
    write(database, 1)
    assert pages(file)[0] < LONGEST_LOG + 2 * LONG_LOG

"""SQLite with writers in several processes, a reader that takes its time, and copies taken meanwhile."""

import shutil
import sqlite3
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from heartbeat_central.storage.engine import open_database
from tests.faults.checker import Call, stored
from tests.faults.conftest import Report
from tests.faults.load import Load
from tests.faults.scene import Scene, scene
from tests.support.service import wait_until


@pytest.mark.parametrize(
    ("seconds", "copies"), [(3, 1), pytest.param(30, 20, marks=pytest.mark.soak, id="soak")]
)
def test_nobody_is_told_that_the_database_is_locked_and_copies_are_whole(
    sqlite_url: str, tmp_path: Path, report: Report, seconds: float, copies: int
) -> None:
    file = Path(sqlite_url.removeprefix("sqlite:///"))
    with scene(tmp_path, sqlite_url) as world:
        with world.load(clients=6, padding=4000) as load, crowd(world) as done:
            begun = time.monotonic()
            with long_read(file):
                # The log is not begun anew meanwhile; after it, it is, every few megabytes.
                take_copies(file, tmp_path, load, copies)
                wait_until(lambda: time.monotonic() - begun >= seconds, "time to pass", seconds + 5)
            take_copies(file, tmp_path, load, copies)
            world.wait_until_told()
            # A client that waits for the writer is not turned away either.
            assert load.statuses() == {200}
        assert world.service.stop() == 0
        found = world.verify(load, crashes=0)
        assert "locked" not in world.service.log()
    assert all(done.values()), done
    report(
        f"SQLite with 8 writers and a reader for {seconds} s: {load.acknowledged} acknowledged, "
        f"{len(found.beats)} stored, {done} by the API and the command line, {2 * copies} copies whole"
    )


@contextmanager
def long_read(file: Path) -> Iterator[None]:
    """Read in one transaction for as long as this lasts."""
    with closing(sqlite3.connect(file, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        count = reader.execute("SELECT count(*) FROM heartbeats").fetchone()
        yield
        assert reader.execute("SELECT count(*) FROM heartbeats").fetchone() == count


@contextmanager
def crowd(world: Scene) -> Iterator[dict[str, int]]:
    """Write through the REST API and by commands, one after the other; yield how often each did."""
    done = {"api": 0, "command": 0}
    over = threading.Event()
    failures: list[BaseException] = []

    def by_api() -> None:
        path = world.service.api("POST", "/applications", {"name": "x", "expected_interval": 3600})
        for number in range(10**9):
            if over.is_set():
                return
            change = {"description": str(number)}
            world.service.api("PATCH", f"/applications/{path['id']}", change)
            done["api"] += 1
            over.wait(0.01)

    def by_command() -> None:
        while not over.is_set():
            world.service.command("app", "add", f"x {done['command']}", "--interval", "3600")
            done["command"] += 1

    def noting(write: "object") -> None:
        try:
            write()  # type: ignore[operator]
        except BaseException as error:
            failures.append(error)

    writers = [threading.Thread(target=noting, args=(one,)) for one in (by_api, by_command)]
    for writer in writers:
        writer.start()
    try:
        yield done
    finally:
        over.set()
        for writer in writers:
            writer.join(60)
    assert failures == []


def take_copies(file: Path, folder: Path, load: Load, number: int) -> None:
    for _ in range(number):
        load.wait_for(20)
        before = [call for call in load.calls if call.acknowledged]
        assert_whole(copied(file, folder / "copy"), before)


def copied(file: Path, folder: Path) -> Path:
    """Copy the database and its log as docs/howto/back-up-and-restore.md says.

    While a transaction reads, nobody begins the log anew, so that it holds all that changes in the file
    meanwhile. In processes of their own: a file that is closed here takes the reader's locks with it.
    """
    folder.mkdir()
    with closing(sqlite3.connect(file, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM sqlite_master").fetchone()
        for name in (file.name, f"{file.name}-wal"):
            subprocess.run(["cp", str(file.with_name(name)), str(folder / name)], check=True)
    return folder / file.name


def assert_whole(copy: Path, before: list[Call]) -> None:
    with closing(sqlite3.connect(copy)) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    opened = open_database(f"sqlite:///{copy}")
    try:
        markers = {beat.marker for beat in stored(opened).beats}
    finally:
        opened.close()
    assert {call.marker for call in before} <= markers
    shutil.rmtree(copy.parent)

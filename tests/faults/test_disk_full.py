"""The disk under the database fills up while clients call, and is emptied again."""

import resource
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.faults.conftest import Report
from tests.faults.scene import scene
from tests.support.missing import missing
from tests.support.postgres import Server
from tests.support.service import Service

MEGABYTE = 1024 * 1024
SMALL, LARGE = 48 * MEGABYTE, 500 * MEGABYTE
"""Of disks: enough for what a short and a long run store; a ballast fills the rest."""

Fill = Callable[[Service], None]
"""Takes all the room that is left, or gives it back."""


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[tuple[Path, Fill, Fill]]:
    """Yield a folder that can be filled: a tmpfs, or what limits the size of the service's files.

    Only root may mount; the limit is there for everybody.
    """
    with tmpfs(folder, size) as disk:
        if disk is not None:
            yield disk, _with_ballast(disk), lambda service: (disk / "ballast").unlink()
            return
    with size_limit(folder, size) as limited:
        yield limited


@contextmanager
def tmpfs(folder: Path, size: int) -> Iterator[Path | None]:
    """Yield a disk of so many bytes; None where we may not mount one."""
    disk = folder / "tmpfs"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(disk)]
    if subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        yield None
        return
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


@contextmanager
def size_limit(folder: Path, _: int) -> Iterator[tuple[Path, Fill, Fill]]:
    """Yield a folder on the ordinary disk, and a limit on the size of files in place of a full one."""
    disk = folder / "disk"
    disk.mkdir()
    yield disk, _limit_files, _lift_limit


def _with_ballast(disk: Path) -> Fill:
    def fill(service: Service) -> None:
        # Unbuffered: nothing is left to be written when it is closed.
        with (disk / "ballast").open("wb", buffering=0) as ballast, suppress(OSError):
            while True:
                ballast.write(bytes(64 * 1024))

    return fill


def _limit_files(service: Service) -> None:
    assert service.process is not None
    biggest = max(file.stat().st_size for file in _database(service).parent.iterdir())
    _, hard = resource.prlimit(service.process.pid, resource.RLIMIT_FSIZE)
    # The log of the service is a file as well, and far smaller than this.
    resource.prlimit(service.process.pid, resource.RLIMIT_FSIZE, (biggest, hard))


def _lift_limit(service: Service) -> None:
    assert service.process is not None
    _, hard = resource.prlimit(service.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(service.process.pid, resource.RLIMIT_FSIZE, (hard, hard))


def _database(service: Service) -> Path:
    return Path(service.settings["DATABASE_URL"].removeprefix("sqlite:///"))


@pytest.mark.parametrize(
    ("disk", "rounds"),
    [
        pytest.param(small_disk, 1, id="disk"),
        pytest.param(small_disk, 15, id="disk-soak", marks=pytest.mark.soak),
        pytest.param(size_limit, 15, id="limit-soak", marks=pytest.mark.soak),
    ],
)
def test_sqlite_on_a_full_disk_refuses_and_goes_on_when_there_is_room(
    disk: Callable[[Path, int], Iterator[tuple[Path, Fill, Fill]]],
    tmp_path: Path,
    report: Report,
    rounds: int,
) -> None:
    took = []
    with disk(tmp_path, SMALL if rounds == 1 else LARGE) as (folder, fill, empty):  # type: ignore[attr-defined]
        url = f"sqlite:///{folder / 'heartbeat.sqlite3'}"
        with scene(tmp_path, url) as world:
            # Big bodies, so that what room is left in files that are there is soon used up.
            with world.load(padding=9_000) as load:
                for _ in range(rounds):
                    load.wait_for(20)
                    fill(world.service)
                    load.wait_for_failure()
                    empty(world.service)
                    took.append(load.wait_for(1))
                world.wait_until_told()
                assert load.statuses() == {200, 503}
                assert world.service.stop() == 0
            found = world.verify(load, crashes=0)
        with closing(sqlite3.connect(folder / "heartbeat.sqlite3")) as database:
            assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert load.longest_refusal < 4
    report(
        f"disk full {rounds} times: {load.acknowledged} acknowledged, {len(found.beats)} stored, "
        f"stored again {max(took):.2f} s after there was room"
    )


@pytest.mark.soak
@pytest.mark.postgres
def test_postgresql_on_a_full_disk_costs_nothing_that_was_acknowledged(
    report: Report, tmp_path: Path
) -> None:
    """It panics when it can't write ahead; whoever runs it makes room and starts it again."""
    rounds, took = 4, []
    with ExitStack() as stack:
        # Not in pytest's own folder: PostgreSQL runs as another user, who may not look into that.
        folder = Path(stack.enter_context(TemporaryDirectory(ignore_cleanup_errors=True)))
        folder.chmod(0o755)
        disk = stack.enter_context(tmpfs(folder, LARGE))
        if disk is None:
            missing("only root may mount a small disk")
        disk.chmod(0o755)
        server = stack.enter_context(
            Server(parent=disk, min_wal_size="32MB", max_wal_size="48MB", log_min_messages="fatal")
        )
        with scene(tmp_path, server.url) as world:
            with world.load(padding=9_000) as load:
                for _ in range(rounds):
                    load.wait_for(20)
                    _with_ballast(disk)(world.service)
                    load.wait_for_failure(60)
                    (disk / "ballast").unlink()
                    with suppress(RuntimeError):  # it may have come back by itself
                        server.resume()
                    took.append(load.wait_for(1))
                world.wait_until_told()
                assert load.statuses() == {200, 503}
                assert world.service.stop() == 0
            found = world.verify(load, crashes=rounds)
    report(
        f"PostgreSQL's disk full {rounds} times: {load.acknowledged} acknowledged, "
        f"{len(found.beats)} stored, stored again {max(took):.2f} s after there was room"
    )

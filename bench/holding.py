"""Who holds SQLite's one turn to write for how long, and what a bare write of as much takes."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from heartbeat_central.storage.engine import Database
from heartbeat_central.storage.turns import Turns


@dataclass
class Held:
    """What one kind of work did in its turns."""

    seconds: list[float] = field(default_factory=list)
    """From when it got the lock to when it let go of it, commit and flush included."""
    written: list[int] = field(default_factory=list)
    """Bytes, handed to the kernel meanwhile."""
    bare: list[float] = field(default_factory=list)
    """Seconds that a bare write of as many bytes and its flush took, right afterwards."""


class WatchedTurns(Turns):
    """Notes every turn, by the work that its thread says it is at."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.held: dict[str, Held] = {}
        self._folder = folder
        self._at = threading.local()

    @contextmanager
    def at(self, work: str, *, bare: bool = False) -> Iterator[None]:
        """Call what this thread does meanwhile `work`; with `bare`, write as much without SQLite, too."""
        self.held.setdefault(work, Held())
        with (self._folder / f"bare-{threading.get_ident()}").open("wb", buffering=0) as file:
            self._at.work, self._at.bare = work, file.fileno() if bare else None
            try:
                yield
            finally:
                del self._at.work

    @contextmanager
    def turn(self, *, hurried: bool = False) -> Iterator[None]:
        with super().turn(hurried=hurried):
            before, begun = _written(), time.perf_counter()
            yield
            took, written = time.perf_counter() - begun, _written() - before
        work = getattr(self._at, "work", None)
        # A turn that wrote nothing was short: it would only make the others look better.
        if work is not None and written > 0:
            held = self.held[work]
            held.seconds.append(took)
            held.written.append(written)
            if self._at.bare is not None:
                held.bare.append(_write(self._at.bare, written))


def watch(database: Database, folder: Path) -> WatchedTurns:
    """Have the turns of a SQLite database noted from now on."""
    turns = WatchedTurns(folder)
    database._turns = turns
    return turns


def _written() -> int:
    """Return the bytes that this thread has handed to the kernel to write."""
    for line in Path("/proc/thread-self/io").read_text().splitlines():
        if line.startswith("wchar:"):
            return int(line.split()[1])
    raise RuntimeError("the kernel does not count what threads write")


def _write(file: int, size: int) -> float:
    """Write `size` bytes over those that are there, flush them, and return the seconds that took."""
    begun = time.perf_counter()
    os.pwrite(file, bytes(size), 0)
    os.fdatasync(file)
    return time.perf_counter() - begun

"""Load on a server, made by wrk; where that isn't installed, by pywrkr."""

import contextlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench import with_pywrkr, with_wrk


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What the load generator saw."""

    requests: int
    """Answered with 2xx or 3xx."""
    seconds: float
    refused: int
    """Answered with 4xx or 5xx."""
    broken: int
    """Connections that failed."""
    p50: float
    p99: float
    slowest: float

    @property
    def rate(self) -> float:
        return self.requests / self.seconds


class Running:
    """Load that goes on while something else is measured; `load` is there once it has ended."""

    load: Load


def heartbeats(
    url: str,
    *,
    applications: int,
    connections: int,
    seconds: float,
    body_bytes: int = 0,
    pause: float = 0,
) -> Load:
    """Send heartbeats to the first `applications`, at random, over keep-alive connections.

    `pause` is the mean time in seconds that each connection waits between two requests.
    """
    with beating(
        url,
        applications=applications,
        connections=connections,
        seconds=seconds,
        body_bytes=body_bytes,
        pause=pause,
    ) as running:
        pass
    return running.load


@contextlib.contextmanager
def beating(
    url: str,
    *,
    applications: int,
    connections: int,
    seconds: float,
    body_bytes: int = 0,
    pause: float = 0,
) -> Iterator[Running]:
    """Send heartbeats in the background; the end of the context waits for the load to end."""
    generator = with_wrk if shutil.which("wrk") else with_pywrkr
    with tempfile.TemporaryDirectory() as folder:
        command = generator.heartbeats(
            Path(folder),
            url,
            applications=applications,
            connections=connections,
            seconds=seconds,
            body_bytes=body_bytes,
            pause=pause,
        )
        with _background(command, Path(folder), seconds) as running:
            yield running


@contextlib.contextmanager
def reloading(url: str, *, connections: int, seconds: int, header: str) -> Iterator[Running]:
    """Read one page again and again in the background."""
    generator = with_wrk if shutil.which("wrk") else with_pywrkr
    with tempfile.TemporaryDirectory() as folder:
        command = generator.page(
            Path(folder), url, connections=connections, seconds=seconds, header=header
        )
        with _background(command, Path(folder), None) as running:
            yield running


def page(url: str, *, seconds: int, header: str, connections: int = 1) -> Load:
    """Read one page again and again."""
    with reloading(url, connections=connections, seconds=seconds, header=header) as running:
        pass
    return running.load


@contextlib.contextmanager
def _background(command: list[str], folder: Path, seconds: float | None) -> Iterator[Running]:
    generator = with_wrk if command[0] == "wrk" else with_pywrkr
    running = Running()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        yield running
    finally:
        said = process.communicate()[0]
    if process.returncode != 0:
        raise RuntimeError(f"the load generator failed:\n{said}")
    seen = generator.results(folder, said)
    # A generator's own duration includes the time after the last request began.
    running.load = Load(**{**seen, "seconds": seconds or seen["seconds"]})

"""Load, made by wrk."""

import contextlib
import json
import math
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SCRIPT = Path(__file__).with_name("load.lua")


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


class Running:
    """Load that goes on while something else is measured; `load` is there once it has ended."""

    load: Load


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
    arguments = ["heartbeats", applications, body_bytes, seconds, round(pause * 1000)]
    command = _wrk(url, connections, math.ceil(seconds) + 1)
    with _background([*command, "--", *map(str, arguments)], seconds) as running:
        yield running


@contextlib.contextmanager
def reloading(url: str, *, connections: int, seconds: float, header: str) -> Iterator[Running]:
    """Read one page again and again in the background."""
    command = _wrk(url, connections, math.ceil(seconds), "-H", header)
    with _background([*command, "--", "page"], None) as running:
        yield running


def page(url: str, *, seconds: float, header: str, connections: int = 1) -> Load:
    """Read one page again and again."""
    with reloading(url, connections=connections, seconds=seconds, header=header) as running:
        pass
    return running.load


def _wrk(url: str, connections: int, seconds: int, *options: str) -> list[str]:
    # One thread: it makes many times the load, and leaves the rest of two cores to the service.
    timing = (f"-c{connections}", f"-d{seconds}s", "--timeout", "30s")
    return ["wrk", "-t1", *timing, *options, "-s", str(SCRIPT), url]


@contextlib.contextmanager
def _background(command: list[str], seconds: float | None) -> Iterator[Running]:
    running = Running()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        yield running
    finally:
        said = process.communicate()[0]
    running.load = _read(said, process.returncode, seconds)


def _read(said: str, status: int, seconds: float | None) -> Load:
    if status != 0:
        raise RuntimeError(f"the load generator failed:\n{said}")
    seen = json.loads(said.strip().splitlines()[-1])
    return Load(
        requests=seen["requests"] - seen["refused"],
        # wrk's own duration includes the time after the last request began.
        seconds=seconds or seen["seconds"],
        refused=seen["refused"],
        broken=seen["broken"],
        p50=seen["p50"],
        p99=seen["p99"],
        slowest=seen["slowest"],
    )

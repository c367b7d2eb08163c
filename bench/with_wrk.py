"""How wrk is asked for load, and what it says."""

import json
import math
from pathlib import Path
from typing import Any

SCRIPT = Path(__file__).with_name("load.lua")


def heartbeats(
    folder: Path,
    url: str,
    *,
    applications: int,
    connections: int,
    seconds: float,
    body_bytes: int,
    pause: float,
) -> list[str]:
    """Return the command; the script stops a second before wrk does, so that all are answered."""
    arguments = (applications, body_bytes, seconds, round(pause * 1000))
    command = _wrk(url, connections, math.ceil(seconds) + 1)
    return [*command, "--", "heartbeats", *map(str, arguments)]


def page(folder: Path, url: str, *, connections: int, seconds: int, header: str) -> list[str]:
    return [*_wrk(url, connections, seconds, "-H", header), "--", "page"]


def results(folder: Path, said: str) -> dict[str, Any]:
    """Return the fields of a Load from what wrk has written."""
    seen: dict[str, Any] = json.loads(said.strip().splitlines()[-1])
    seen["requests"] -= seen["refused"]
    return seen


def _wrk(url: str, connections: int, seconds: int, *options: str) -> list[str]:
    # One thread: it makes many times the load, and leaves the rest of two cores to the service.
    timing = (f"-c{connections}", f"-d{seconds}s", "--timeout", "30s")
    return ["wrk", "-t1", *timing, *options, "-s", str(SCRIPT), url]

"""How pywrkr is asked for load, and what it says. It needs a core for some 2,000 requests/s."""

import json
import sys
from pathlib import Path
from typing import Any

from bench.data import uuid_of


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
    """Return the command; each connection is a user who goes through a scenario of one step."""
    uuids = (str(uuid_of(number)) for number in range(1, applications + 1))
    (folder / "applications.csv").write_text("\n".join(["uuid", *uuids]) + "\n")
    scenario = {
        "name": "heartbeats",
        "base_url": url,
        "data": {"applications": {"file": "applications.csv", "strategy": "random"}},
        "steps": [
            {
                "path": "/heartbeat/${applications.uuid}",
                "method": "POST",
                "body": "x" * body_bytes,
            }
        ],
    }
    (folder / "scenario.json").write_text(json.dumps(scenario))
    return [
        *_pywrkr(folder, connections, seconds),
        *("--scenario", str(folder / "scenario.json"), "--users", str(connections)),
        *("--think-time", str(pause), url),
    ]


def page(folder: Path, url: str, *, connections: int, seconds: int, header: str) -> list[str]:
    return [*_pywrkr(folder, connections, seconds), "--header", header, url]


def results(folder: Path, said: str) -> dict[str, Any]:
    """Return the fields of a Load from what pywrkr has stored."""
    seen = json.loads((folder / "result.json").read_text())
    refused = sum(
        number
        for status, number in seen["status_codes"].items()
        if not status.startswith(("2", "3"))
    )
    return {
        "requests": seen["total_requests"] - refused,
        "seconds": seen["duration_sec"],
        "refused": refused,
        "broken": sum(seen["error_types"].values()),
        "p50": seen["percentiles"]["p50"],
        "p99": seen["percentiles"]["p99"],
        "slowest": seen["latency"]["max"],
    }


def _pywrkr(folder: Path, connections: int, seconds: float) -> list[str]:
    timing = ("--connections", str(connections), "--duration", str(seconds))
    return [sys.executable, "-m", "pywrkr", *timing, "--json", str(folder / "result.json")]

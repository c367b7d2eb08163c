"""What the figures were measured on."""

import importlib.metadata
import os
import platform
import shutil
import sqlite3
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg

from tests.support.postgres import find_programs

PACKAGES = ("uvicorn", "uvloop", "httptools", "SQLAlchemy", "psycopg", "Flask", "gunicorn")


def about(scale: str) -> dict[str, Any]:
    """Return machine, versions and time, by label."""
    return {
        "Measured": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, scale {scale}, commit {_commit()}",
        "Machine": f"{_processor()}, {os.cpu_count()} cores, {_memory()} GiB, {platform.system()} "
        f"{platform.release().split('-')[0]}",
        "Versions": ", ".join(
            [
                f"Python {platform.python_version()}",
                f"PostgreSQL {_postgresql()}",
                f"SQLite {sqlite3.sqlite_version}",
                *(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES),
            ]
        ),
        "Load": load_generator(),
        "Busy before it began": f"load average {os.getloadavg()[0]:.1f}",
    }


def load_generator() -> str:
    """Return the name and version of what makes the load."""
    if shutil.which("wrk"):
        said = subprocess.run(["wrk", "-v"], capture_output=True, text=True, check=False).stdout
        return " ".join(said.split()[:2])
    return (
        f"pywrkr {importlib.metadata.version('pywrkr')} (no wrk was found; this one is in Python and "
        "takes so much of a core that requests/s tell of it as well)"
    )


def _commit() -> str:
    try:
        said = subprocess.run(
            ["git", "describe", "--always", "--dirty"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return said.stdout.strip()


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _memory() -> int:
    total = int(Path("/proc/meminfo").read_text().split()[1])
    return round(total / 1024 / 1024)


def _postgresql() -> str:
    said = subprocess.run(
        [str(find_programs() / "postgres"), "--version"], capture_output=True, text=True, check=True
    )
    return f"{said.stdout.split()[2]} (libpq {psycopg.pq.version() // 10000})"

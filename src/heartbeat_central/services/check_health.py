"""Whether the service does its work: database, detector and outbox."""

import threading
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from heartbeat_central.domain.errors import StorageUnavailable
from heartbeat_central.domain.moment import isoformat
from heartbeat_central.storage.engine import Database

LONGEST_SILENCE = timedelta(seconds=30)
"""A job of the monitor that has not succeeded for so long is not healthy; they run every second."""

_PARTS = {"detector": "notice", "outbox": "tell"}
"""The part that /health names, and the monitor's job that keeps it alive."""


class Vitals:
    """When each job of this process last succeeded, and why it last failed. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._succeeded: dict[str, datetime] = {}
        self._problems: dict[str, str] = {}

    def ok(self, job: str, at: datetime) -> None:
        """Note a run that succeeded."""
        with self._lock:
            self._succeeded[job] = at
            self._problems.pop(job, None)

    def failed(self, job: str, problem: str) -> None:
        """Note a run that failed."""
        with self._lock:
            self._problems[job] = problem

    def of(self, job: str) -> tuple[datetime | None, str | None]:
        """Return when the job last succeeded, and its problem since, if any."""
        with self._lock:
            return self._succeeded.get(job), self._problems.get(job)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The health of one part."""

    ok: bool
    detail: str | None = None
    last_ok: datetime | None = None


@dataclass(frozen=True, slots=True)
class Health:
    """The health of the service, part by part."""

    parts: dict[str, Part]

    @property
    def ok(self) -> bool:
        """Return whether every part is well."""
        return all(part.ok for part in self.parts.values())

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "status": "ok" if self.ok else "unhealthy",
            **{
                name: {
                    "status": "ok" if part.ok else "failing",
                    "detail": part.detail,
                    "last_ok": isoformat(part.last_ok),
                }
                for name, part in self.parts.items()
            },
        }


def check_health(database: Database, vitals: Vitals, *, now: datetime) -> Health:
    """Return the health of the database and of this process's jobs."""
    parts = {"database": _database(database, now)}
    parts |= {part: _job(vitals, job, now) for part, job in _PARTS.items()}
    return Health(parts)


def _database(database: Database, now: datetime) -> Part:
    try:
        database.ping()
    except StorageUnavailable as error:
        return Part(ok=False, detail=str(error))
    return Part(ok=True, last_ok=now)


def _job(vitals: Vitals, job: str, now: datetime) -> Part:
    last_ok, problem = vitals.of(job)
    if last_ok is None:
        return Part(ok=False, detail=problem or "has not run yet")
    if now - last_ok > LONGEST_SILENCE:
        return Part(ok=False, detail=problem or "has not run lately", last_ok=last_ok)
    return Part(ok=True, detail=problem, last_ok=last_ok)

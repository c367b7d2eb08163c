"""Whether this process does its work. What other processes do is for them to tell."""

import threading
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from heartbeat_central.domain.errors import StorageUnavailable
from heartbeat_central.domain.moment import isoformat
from heartbeat_central.domain.work import EVERYTHING, Work
from heartbeat_central.services.prove_reception import reception_proven_until
from heartbeat_central.storage.engine import Database

LONGEST_SILENCE = timedelta(seconds=30)
"""A job of the monitor that has not succeeded for so long is not healthy; they run every second."""
LONGEST_WAIT = timedelta(minutes=2)
"""An alert that is due for longer, and that no sender takes, is not being sent. An alert of a receiver
that is slow waits for its turn, which is another matter."""
LONGEST_BLINDNESS = timedelta(seconds=10)
"""Heartbeats that can't be stored are lost: this is told sooner."""

_JOBS = {
    "ingest": (Work.RECORD, "ingest", LONGEST_BLINDNESS),
    "detector": (Work.MONITOR, "notice", LONGEST_SILENCE),
    "outbox": (Work.MONITOR, "tell", LONGEST_SILENCE),
}
"""The part that /health names, whose work it is, what keeps it alive, and how long it may be silent."""

_PUBLIC = {
    "database": "does not answer; the log tells why",
    "ingest": "has not stored a heartbeat of its own lately; the log tells why",
    "detector": "has not looked for silent applications lately; the log tells why",
    "outbox": "does not look for alerts to send, or does not send what is due; the log tells why",
}


class Vitals:
    """When each job of this process last succeeded, and why it last failed. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._succeeded: dict[str, datetime] = {}
        self._problems: dict[str, str] = {}
        self._waiting: dict[str, datetime] = {}

    def waits(self, job: str, since: datetime | None) -> None:
        """Note since when something waits that the job is there for; None: nothing does."""
        with self._lock:
            if since is None:
                self._waiting.pop(job, None)
            else:
                self._waiting[job] = since

    def waiting_since(self, job: str) -> datetime | None:
        """Return since when something waits that the job is there for, if anything does."""
        with self._lock:
            return self._waiting.get(job)

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


class PartStatus(StrEnum):
    """How a part is."""

    OK = "ok"
    FAILING = "failing"
    ELSEWHERE = "elsewhere"
    """Another process does it, and only that one can tell how it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The health of one part."""

    status: PartStatus
    detail: str | None = None
    last_ok: datetime | None = None

    @property
    def ok(self) -> bool:
        """Return whether this process has nothing to complain of."""
        return self.status is not PartStatus.FAILING


@dataclass(frozen=True, slots=True)
class Health:
    """The health of this process, part by part."""

    parts: Mapping[str, Part]

    @property
    def ok(self) -> bool:
        """Return whether every part that this process is in charge of is well."""
        return all(part.ok for part in self.parts.values())

    def public(self) -> "Health":
        """Return what everyone may know: the driver's own words name the database's address."""
        return Health({name: _public(name, part) for name, part in self.parts.items()})

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "status": "ok" if self.ok else "unhealthy",
            **{
                name: {
                    "status": part.status.value,
                    "detail": part.detail,
                    "last_ok": isoformat(part.last_ok),
                }
                for name, part in self.parts.items()
            },
        }


def check_health(
    database: Database, vitals: Vitals, *, now: datetime, does: Collection[Work] = EVERYTHING
) -> Health:
    """Return the health of the database, and of what a process that `does` this work keeps alive."""
    parts = {"database": _database(database, now)}
    for name, (work, job, longest) in _JOBS.items():
        parts[name] = _job(vitals, job, now, longest) if work in does else _elsewhere(work)
    return Health(parts)


def check_all(
    database: Database, vitals: Vitals, *, now: datetime, does: Collection[Work]
) -> Health:
    """Return the same; what other processes do to take heartbeats is judged by what they have stored."""
    health = check_health(database, vitals, now=now, does=does)
    if Work.RECORD in does or not health.parts["database"].ok:
        return health
    return Health({**health.parts, "ingest": _proven(database, now)})


def _proven(database: Database, now: datetime) -> Part:
    try:
        proven = reception_proven_until(database)
    except StorageUnavailable as error:
        return Part(status=PartStatus.FAILING, detail=str(error))
    if proven is None or abs(now - proven) > LONGEST_BLINDNESS:
        return Part(
            status=PartStatus.FAILING,
            detail="no process has stored a heartbeat of its own lately",
            last_ok=proven,
        )
    return Part(status=PartStatus.OK, last_ok=proven)


def _database(database: Database, now: datetime) -> Part:
    try:
        database.ping()
    except StorageUnavailable as error:
        return Part(status=PartStatus.FAILING, detail=str(error))
    return Part(status=PartStatus.OK, last_ok=now)


def _job(vitals: Vitals, job: str, now: datetime, longest: timedelta) -> Part:
    last_ok, problem = vitals.of(job)
    if last_ok is None:
        return Part(status=PartStatus.FAILING, detail=problem or "has not run yet")
    # What succeeded at a time that is still to come did so before the clock was set back.
    if abs(now - last_ok) > longest:
        return Part(
            status=PartStatus.FAILING, detail=problem or "has not run lately", last_ok=last_ok
        )
    since = vitals.waiting_since(job)
    if since is not None and now - since > LONGEST_WAIT:
        waited = (now - since).total_seconds()
        return Part(
            status=PartStatus.FAILING,
            detail=problem or f"an alert is due for {waited:.0f} s, and no sender takes it",
            last_ok=last_ok,
        )
    return Part(status=PartStatus.OK, detail=problem, last_ok=last_ok)


def _elsewhere(work: Work) -> Part:
    return Part(
        status=PartStatus.ELSEWHERE, detail=f"the processes with `serve --only {work}` tell of it"
    )


def _public(name: str, part: Part) -> Part:
    if part.detail is None or part.status is PartStatus.ELSEWHERE:
        return part
    ok = part.status is PartStatus.OK
    return replace(part, detail="failed once just now" if ok else _PUBLIC[name])

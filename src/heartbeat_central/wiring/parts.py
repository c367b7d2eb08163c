"""What every process has, whatever it does."""

from dataclasses import dataclass, field
from datetime import UTC, datetime

from heartbeat_central.metrics import Metrics, Shared
from heartbeat_central.services.check_health import Vitals
from heartbeat_central.settings import Settings, resolve_secret_key
from heartbeat_central.storage.engine import Database, open_database


def clock() -> datetime:
    """Return the time, UTC: the one clock of the service."""
    return datetime.now(UTC)


def report_to(vitals: Vitals, job: str, at: datetime, problem: str | None) -> None:
    """Note how a run of a job ended; `problem` is None when it ended well."""
    if problem is None:
        vitals.ok(job, at)
    else:
        vitals.failed(job, problem)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What several parts of the service share."""

    settings: Settings
    secret_key: str = field(repr=False)
    database: Database
    vitals: Vitals
    metrics: Metrics


def build(settings: Settings, shared: Shared | None) -> Parts:
    """Return the parts of a process. The database isn't touched: its tables are in place.

    Raises SettingsError and Invalid.
    """
    return Parts(
        settings=settings,
        secret_key=resolve_secret_key(settings),
        database=open_database(settings.database_url),
        vitals=Vitals(),
        metrics=Metrics(shared),
    )

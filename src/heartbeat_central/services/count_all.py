"""Figures for the metrics that the database knows, over all projects."""

from datetime import datetime

from heartbeat_central.metrics import Figure
from heartbeat_central.storage import counts
from heartbeat_central.storage.engine import Database


def count_all(database: Database, *, now: datetime) -> list[Figure]:
    """Return the figures. Raises StorageUnavailable."""
    with database.read() as connection:
        oldest = counts.oldest_pending(connection)
        return [
            Figure(
                "heartbeat_central_applications",
                "Applications by stored status",
                counts.applications(connection),
                label="status",
            ),
            Figure(
                "heartbeat_central_unreadable_applications",
                "Applications that can't be judged because of what is stored of them",
                {"": counts.unreadable_applications(connection)},
            ),
            Figure(
                "heartbeat_central_deliveries",
                "Deliveries that wait, and those that were given up",
                counts.unfinished_deliveries(connection),
                label="status",
            ),
            Figure(
                "heartbeat_central_open_incidents",
                "Open incidents",
                {"": counts.open_incidents(connection)},
            ),
            Figure(
                "heartbeat_central_outbox_age_seconds",
                "How long ago it was decided to send the oldest delivery that waits",
                {"": _age(oldest.created_at, now)},
            ),
            Figure(
                "heartbeat_central_outbox_lag_seconds",
                "How long the delivery that waits for a sender the longest has been due",
                {"": _age(oldest.due_at, now)},
            ),
        ]


def _age(moment: datetime | None, now: datetime) -> float:
    return 0.0 if moment is None else max((now - moment).total_seconds(), 0.0)

"""Counts for the metrics, over all projects."""

from collections.abc import Mapping
from dataclasses import dataclass

from heartbeat_central.storage import counts
from heartbeat_central.storage.engine import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How many there are."""

    applications: Mapping[str, int]
    """By stored status."""
    deliveries: Mapping[str, int]
    """Those that wait and those that were given up."""
    open_incidents: int


def count_all(database: Database) -> Counts:
    """Return the counts. Raises StorageUnavailable."""
    with database.read() as connection:
        return Counts(
            applications=counts.applications(connection),
            deliveries=counts.unfinished_deliveries(connection),
            open_incidents=counts.open_incidents(connection),
        )

"""Every table.

AUTOINCREMENT keeps SQLite from giving a deleted row's id, and with it its history, to a new row.
"""

from heartbeat_central.storage.tables.accounts import (
    api_keys,
    members,
    projects,
    sessions,
    sign_in_tries,
    users,
)
from heartbeat_central.storage.tables.base import metadata
from heartbeat_central.storage.tables.monitoring import (
    INCIDENT_UNROLLED,
    IS_NOT_UP,
    application_states,
    applications,
    heartbeats,
    incidents,
)
from heartbeat_central.storage.tables.outbox import (
    alerts,
    channels,
    deliveries,
    delivery_attempts,
    storms,
    subscriptions,
)
from heartbeat_central.storage.tables.reception import blind_windows, nodes
from heartbeat_central.storage.tables.rollups import (
    daily_rollups,
    hourly_rollups,
    rollup_progress,
)

__all__ = [
    "INCIDENT_UNROLLED",
    "IS_NOT_UP",
    "alerts",
    "api_keys",
    "application_states",
    "applications",
    "blind_windows",
    "channels",
    "daily_rollups",
    "deliveries",
    "delivery_attempts",
    "heartbeats",
    "hourly_rollups",
    "incidents",
    "members",
    "metadata",
    "nodes",
    "projects",
    "rollup_progress",
    "sessions",
    "sign_in_tries",
    "storms",
    "subscriptions",
    "users",
]

"""What is monitored, what was heard of it, and its outages.

Settings and hot state are apart, so that a heartbeat rewrites one narrow row. The history has no
foreign key and no unique index: it is written a million times for every time it is read, is
partitioned by time on PostgreSQL, and a deleted application's rows go with the next pruning.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    String,
    Table,
    Text,
    Uuid,
    text,
)

from heartbeat_central.storage.tables.base import metadata
from heartbeat_central.storage.types import Json, Key, Moment

applications = Table(
    "applications",
    metadata,
    Column("id", Key, primary_key=True),
    Column("project_id", Key, ForeignKey("projects.id", ondelete="CASCADE"), nullable=False),
    Column("uuid", Uuid, nullable=False, unique=True),
    Column("name", String(200), nullable=False),
    Column("slug", String(200), nullable=False),
    Column("description", Text, nullable=False),
    Column("tags", Json, nullable=False),
    # Exactly one of expected_interval and the three schedule columns is set.
    Column("expected_interval", Integer),
    Column("schedule_kind", String(12)),
    Column("schedule_expression", Text),
    Column("schedule_timezone", String(64)),
    Column("grace_period", Integer, nullable=False),
    Column("expect_first_heartbeat", Boolean, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("updated_at", Moment, nullable=False),
    # Why it can't be watched. Not in the states, whose rows heartbeats rewrite.
    Column("problem", Text),
    # It came or went then, which its channels don't know yet; NULL: they do.
    Column("problem_untold_since", Moment),
    # When they were told of it; NULL: there is nothing to take back.
    Column("problem_told_at", Moment),
    Index(None, "project_id", "id"),
    Index(
        "ix_applications_problem",
        "id",
        postgresql_where=text("problem IS NOT NULL"),
        sqlite_where=text("problem IS NOT NULL"),
    ),
    Index(
        "ix_applications_problem_untold",
        "project_id",
        postgresql_where=text("problem_untold_since IS NOT NULL"),
        sqlite_where=text("problem_untold_since IS NOT NULL"),
    ),
    sqlite_autoincrement=True,
)

IS_NOT_UP = text("(status <> 'up')")

application_states = Table(
    "application_states",
    metadata,
    Column(
        "application_id",
        Key,
        ForeignKey("applications.id", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    ),
    Column("status", String(6), nullable=False),
    Column("armed_at", Moment, nullable=False),
    Column("last_heartbeat_at", Moment),
    Column("started_at", Moment),
    Column("started_rid", Uuid),
    Column("check_at", Moment),
    Column("extended_at", Moment),
    # Indexes on columns that heartbeats leave alone, so that their updates stay HOT.
    Index("ix_application_states_check_at", "check_at"),
    Index(
        "ix_application_states_not_up",
        "status",
        "application_id",
        postgresql_where=IS_NOT_UP,
        sqlite_where=IS_NOT_UP,
    ),
    postgresql_with={
        # Room on every page for the next version of a row.
        "fillfactor": "50",
        # What HOT leaves to the vacuum, such as the versions that a long backup still sees, goes soon:
        # a fiftieth of the rows, not a fifth as it ships.
        "autovacuum_vacuum_scale_factor": "0.02",
        "autovacuum_vacuum_threshold": "500",
        "autovacuum_vacuum_cost_delay": "1",
    },
)

heartbeats = Table(
    "heartbeats",
    metadata,
    Column("id", Key, primary_key=True),
    Column("application_id", Key, nullable=False),
    Column("kind", SmallInteger, nullable=False),
    Column("received_at", Moment, nullable=False),
    Column("exit_status", SmallInteger),
    Column("duration", BigInteger, comment="microseconds"),
    Column("rid", Uuid),
    Column("method", String(16), nullable=False),
    Column("remote_address", String(64)),
    Column("user_agent", String(256)),
    Column("body_size", Integer, nullable=False),
    Column("body", LargeBinary),
    Index("ix_heartbeats_application_id_received_at", "application_id", "received_at"),
)

INCIDENT_UNROLLED = text("(closed_at IS NULL OR rolled_until IS NULL OR rolled_until <> closed_at)")

incidents = Table(
    "incidents",
    metadata,
    Column("id", Key, primary_key=True),
    Column("project_id", Key, ForeignKey("projects.id", ondelete="CASCADE"), nullable=False),
    Column(
        "application_id", Key, ForeignKey("applications.id", ondelete="CASCADE"), nullable=False
    ),
    Column("reason", String(16), nullable=False),
    Column("exit_status", SmallInteger),
    Column("opened_at", Moment, nullable=False),
    Column("closed_at", Moment),
    Column("last_heartbeat_at", Moment),
    # Up to when the rollups count this outage as downtime; NULL: not at all yet.
    Column("rolled_until", Moment),
    # The storm that it began in. No foreign key: storms are pruned earlier.
    Column("storm_id", Key),
    Index(None, "project_id", "opened_at"),
    Index(None, "application_id", "opened_at"),
    Index(
        "uq_incidents_open",
        "application_id",
        unique=True,
        postgresql_where=text("closed_at IS NULL"),
        sqlite_where=text("closed_at IS NULL"),
    ),
    Index(
        "ix_incidents_open_project_id_opened_at",
        "project_id",
        "opened_at",
        postgresql_where=text("closed_at IS NULL"),
        sqlite_where=text("closed_at IS NULL"),
    ),
    # The few whose downtime the rollups don't hold to its end.
    Index(
        "ix_incidents_unrolled",
        "id",
        postgresql_where=INCIDENT_UNROLLED,
        sqlite_where=INCIDENT_UNROLLED,
    ),
    sqlite_autoincrement=True,
)

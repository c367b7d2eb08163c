"""Every table. Settings and hot state are apart, so that a heartbeat rewrites one narrow row.

Applications, channels, keys and members belong to a project from the start. The history has no
foreign key and no unique index: it is written a million times for every time it is read, is
partitioned by time on PostgreSQL, and a deleted application's rows go with the next pruning.
AUTOINCREMENT keeps SQLite from giving a deleted row's id, and with it its history, to a new row.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)

from heartbeat_central.storage.types import Json, Key, Moment

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

projects = Table(
    "projects",
    metadata,
    Column("id", Key, primary_key=True),
    Column("uuid", Uuid, nullable=False, unique=True),
    Column("name", String(200), nullable=False),
    Column("created_at", Moment, nullable=False),
    sqlite_autoincrement=True,
)

users = Table(
    "users",
    metadata,
    Column("id", Key, primary_key=True),
    Column("email", String(254), nullable=False, unique=True),
    Column("password_hash", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
    sqlite_autoincrement=True,
)

members = Table(
    "members",
    metadata,
    Column("project_id", Key, ForeignKey("projects.id", ondelete="CASCADE"), primary_key=True),
    Column("user_id", Key, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    Column("role", String(20), nullable=False),
)

sessions = Table(
    "sessions",
    metadata,
    Column("token_hash", LargeBinary(32), primary_key=True),
    Column("user_id", Key, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("expires_at", Moment, nullable=False, index=True),
)

sign_in_tries = Table(
    "sign_in_tries",
    metadata,
    Column("id", Key, primary_key=True),
    Column("subject", LargeBinary(32), nullable=False, comment="SHA-256 of account and address"),
    Column("tried_at", Moment, nullable=False, index=True),
    Index(None, "subject", "tried_at"),
    sqlite_autoincrement=True,
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", Key, primary_key=True),
    Column("project_id", Key, ForeignKey("projects.id", ondelete="CASCADE"), nullable=False),
    Column("name", String(200), nullable=False),
    Column("scope", String(10), nullable=False),
    Column("prefix", String(16), nullable=False),
    Column("key_hash", LargeBinary(32), nullable=False, unique=True),
    Column("created_at", Moment, nullable=False),
    Column("revoked_at", Moment),
    sqlite_autoincrement=True,
)

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
    Index(None, "project_id", "id"),
    sqlite_autoincrement=True,
)

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
    # The only index: on a column that heartbeats leave alone, so that their updates stay HOT.
    Index("ix_application_states_check_at", "check_at"),
    # Room on every page for the next version of a row.
    postgresql_with={"fillfactor": "50"},
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
    # The few whose downtime the rollups don't hold to its end.
    Index(
        "ix_incidents_unrolled",
        "id",
        postgresql_where=INCIDENT_UNROLLED,
        sqlite_where=INCIDENT_UNROLLED,
    ),
    sqlite_autoincrement=True,
)


# Many applications of a project that go down together: domain/storm.py.
storms = Table(
    "storms",
    metadata,
    Column("id", Key, primary_key=True),
    Column("project_id", Key, ForeignKey("projects.id", ondelete="CASCADE"), nullable=False),
    Column("began_at", Moment, nullable=False, comment="none of its outages began before"),
    Column("last_down_at", Moment, nullable=False, comment="when its newest outage began"),
    Column("held_since", Moment, comment="the first alert that waits for the next digest"),
    Column("digest_at", Moment, comment="when that goes out; NULL: nothing waits"),
    Column("doubted_at", Moment, comment="a node could not reach out when it was due"),
    Column("last_digest_at", Moment),
    Column("digests", Integer, nullable=False, comment="without a pause between them"),
    Index(None, "project_id", "id"),
    Index(
        "ix_storms_digest_at",
        "digest_at",
        postgresql_where=text("digest_at IS NOT NULL"),
        sqlite_where=text("digest_at IS NOT NULL"),
    ),
    sqlite_autoincrement=True,
)


def _rollups(name: str) -> Table:
    return Table(
        name,
        metadata,
        Column(
            "application_id",
            Key,
            ForeignKey("applications.id", ondelete="CASCADE"),
            primary_key=True,
            autoincrement=False,
        ),
        Column("starts_at", Moment, primary_key=True),
        Column("first_success_at", Moment),
        Column("last_success_at", Moment),
        Column("longest_gap", BigInteger, nullable=False, comment="microseconds"),
        Column("run_time", BigInteger, nullable=False, comment="microseconds"),
        Column("longest_run", BigInteger, nullable=False, comment="microseconds"),
        Column("down", BigInteger, nullable=False, comment="microseconds"),
        Column("successes", Integer, nullable=False),
        Column("failures", Integer, nullable=False),
        Column("runs", Integer, nullable=False),
        sqlite_with_rowid=False,
        postgresql_with={"fillfactor": "80"},
    )


hourly_rollups = _rollups("hourly_rollups")
daily_rollups = _rollups("daily_rollups")

rollup_progress = Table(
    "rollup_progress",
    metadata,
    # One row, number 1.
    Column("id", SmallInteger, primary_key=True, autoincrement=False),
    # Every heartbeat up to `rolled_id` is in the rollups. What those up to `rolling_id` come to is being
    # added, up to this application and hour so far.
    Column("rolled_id", BigInteger, nullable=False),
    Column("rolling_id", BigInteger, nullable=False),
    Column("rolled_application_id", BigInteger, nullable=False),
    Column("rolled_hour", Moment, nullable=False),
)

# Processes that take heartbeats: when each last proved that it could.
nodes = Table(
    "nodes",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("started_at", Moment, nullable=False),
    Column("seen_at", Moment, nullable=False),
    # When it ended in good order; NULL also when it was killed.
    Column("stopped_at", Moment),
    # One row is written every second: no index on what changes, and room for its next version.
    postgresql_with={"fillfactor": "10"},
)

blind_windows = Table(
    "blind_windows",
    metadata,
    Column("id", Key, primary_key=True),
    Column("started_at", Moment, nullable=False),
    Column("ended_at", Moment, nullable=False, index=True),
    Column("cause", String(16), nullable=False),
    # Its digest: NULL while no application has been excused because of it.
    Column("digest_due_at", Moment),
    Column("digested_at", Moment),
    # A clock that was set back: when all that lies ahead of it had been looked at.
    Column("settled_at", Moment),
    sqlite_autoincrement=True,
)

channels = Table(
    "channels",
    metadata,
    Column("id", Key, primary_key=True),
    Column("project_id", Key, ForeignKey("projects.id", ondelete="CASCADE"), nullable=False),
    Column("name", String(200), nullable=False),
    Column("type", String(64), nullable=False),
    Column("config", Text, nullable=False, comment="JSON, encrypted with SECRET_KEY"),
    Column("is_active", Boolean, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("updated_at", Moment, nullable=False),
    Column("fallback_told_at", Moment, comment="when the others last told of its dead letters"),
    Index(None, "project_id", "id"),
    sqlite_autoincrement=True,
)

subscriptions = Table(
    "subscriptions",
    metadata,
    Column(
        "application_id", Key, ForeignKey("applications.id", ondelete="CASCADE"), primary_key=True
    ),
    Column("channel_id", Key, ForeignKey("channels.id", ondelete="CASCADE"), primary_key=True),
    Index(None, "channel_id"),
)

alerts = Table(
    "alerts",
    metadata,
    Column("id", Key, primary_key=True),
    Column("project_id", Key, ForeignKey("projects.id", ondelete="CASCADE"), nullable=False),
    Column("kind", String(16), nullable=False),
    # No foreign keys: the snapshot outlives what it tells of.
    Column("application_id", Key),
    Column("incident_id", Key),
    Column("snapshot", Json, nullable=False),
    Column("created_at", Moment, nullable=False),
    Index(None, "created_at"),
    sqlite_autoincrement=True,
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", Key, primary_key=True),
    Column("uuid", Uuid, nullable=False, unique=True),
    Column("alert_id", Key, ForeignKey("alerts.id", ondelete="CASCADE"), nullable=False),
    Column("channel_id", Key, ForeignKey("channels.id", ondelete="CASCADE"), nullable=False),
    Column("application_id", Key),
    Column("status", String(10), nullable=False),
    Column("attempt", Integer, nullable=False, comment="the last one begun; the fencing token"),
    Column("due_at", Moment, comment="next attempt; while leased, the end of the lease"),
    Column("leased_until", Moment),
    Column("first_attempt_at", Moment),
    Column("finished_at", Moment),
    Column("last_error", Text),
    Column("created_at", Moment, nullable=False),
    Column("storm_id", Key, comment="the storm of which this alert tells one outage"),
    Column("merged_into", Key, comment="the delivery of the digest that took its place"),
    Column("fallback_due", Boolean, comment="true: other channels have yet to tell of it"),
    Index(
        "ix_deliveries_due",
        "due_at",
        postgresql_where=text("status = 'pending'"),
        sqlite_where=text("status = 'pending'"),
    ),
    Index(None, "channel_id", "id"),
    Index(None, "alert_id"),
    Index(
        "ix_deliveries_leased",
        "leased_until",
        postgresql_where=text("leased_until IS NOT NULL AND status = 'pending'"),
        sqlite_where=text("leased_until IS NOT NULL AND status = 'pending'"),
    ),
    Index(
        "ix_deliveries_storm",
        "storm_id",
        "channel_id",
        postgresql_where=text("storm_id IS NOT NULL"),
        sqlite_where=text("storm_id IS NOT NULL"),
    ),
    Index(
        "ix_deliveries_dead",
        "id",
        postgresql_where=text("status = 'dead'"),
        sqlite_where=text("status = 'dead'"),
    ),
    Index(
        "ix_deliveries_fallback",
        "channel_id",
        postgresql_where=text("fallback_due IS NOT NULL"),
        sqlite_where=text("fallback_due IS NOT NULL"),
    ),
    sqlite_autoincrement=True,
)

delivery_attempts = Table(
    "delivery_attempts",
    metadata,
    Column("id", Key, primary_key=True),
    Column("delivery_id", Key, ForeignKey("deliveries.id", ondelete="CASCADE"), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("started_at", Moment, nullable=False),
    Column("finished_at", Moment, nullable=False),
    Column("outcome", String(10), nullable=False),
    Column("detail", Text, nullable=False),
    UniqueConstraint("delivery_id", "attempt"),
)

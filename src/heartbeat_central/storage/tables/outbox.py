"""Whom to tell, what, and how that went."""

from sqlalchemy import (
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)

from heartbeat_central.storage.tables.base import metadata
from heartbeat_central.storage.types import Json, Key, Moment

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

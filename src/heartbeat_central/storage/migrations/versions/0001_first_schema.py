"""The first schema.

Revision ID: 0001
Revises:
"""

import sqlalchemy as sa
from alembic import op

from heartbeat_central.storage import types

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create every table."""
    op.create_table(
        "projects",
        sa.Column("id", types.Key, nullable=False),
        sa.Column("uuid", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("created_at", types.Moment(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_projects")),
        sa.UniqueConstraint("uuid", name=op.f("uq_projects_uuid")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "users",
        sa.Column("id", types.Key, nullable=False),
        sa.Column("email", sa.String(length=254), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("created_at", types.Moment(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
        sa.UniqueConstraint("email", name=op.f("uq_users_email")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "alerts",
        sa.Column("id", types.Key, nullable=False),
        sa.Column("project_id", types.Key, nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("application_id", types.Key, nullable=True),
        sa.Column("incident_id", types.Key, nullable=True),
        sa.Column("snapshot", types.Json, nullable=False),
        sa.Column("created_at", types.Moment(), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_alerts_project_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alerts")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_alerts_created_at"), "alerts", ["created_at"], unique=False)
    op.create_table(
        "api_keys",
        sa.Column("id", types.Key, nullable=False),
        sa.Column("project_id", types.Key, nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("scope", sa.String(length=10), nullable=False),
        sa.Column("prefix", sa.String(length=16), nullable=False),
        sa.Column("key_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("created_at", types.Moment(), nullable=False),
        sa.Column("revoked_at", types.Moment(), nullable=True),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_api_keys_project_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
        sa.UniqueConstraint("key_hash", name=op.f("uq_api_keys_key_hash")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "applications",
        sa.Column("id", types.Key, nullable=False),
        sa.Column("project_id", types.Key, nullable=False),
        sa.Column("uuid", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("slug", sa.String(length=200), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("tags", types.Json, nullable=False),
        sa.Column("expected_interval", sa.Integer(), nullable=True),
        sa.Column("schedule_kind", sa.String(length=12), nullable=True),
        sa.Column("schedule_expression", sa.Text(), nullable=True),
        sa.Column("schedule_timezone", sa.String(length=64), nullable=True),
        sa.Column("grace_period", sa.Integer(), nullable=False),
        sa.Column("expect_first_heartbeat", sa.Boolean(), nullable=False),
        sa.Column("created_at", types.Moment(), nullable=False),
        sa.Column("updated_at", types.Moment(), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"],
            ["projects.id"],
            name=op.f("fk_applications_project_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_applications")),
        sa.UniqueConstraint("uuid", name=op.f("uq_applications_uuid")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        op.f("ix_applications_project_id_id"), "applications", ["project_id", "id"], unique=False
    )
    op.create_table(
        "channels",
        sa.Column("id", types.Key, nullable=False),
        sa.Column("project_id", types.Key, nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("type", sa.String(length=64), nullable=False),
        sa.Column("config", sa.Text(), nullable=False, comment="JSON, encrypted with SECRET_KEY"),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.Column("created_at", types.Moment(), nullable=False),
        sa.Column("updated_at", types.Moment(), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_channels_project_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_channels")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        op.f("ix_channels_project_id_id"), "channels", ["project_id", "id"], unique=False
    )
    op.create_table(
        "members",
        sa.Column("project_id", types.Key, nullable=False),
        sa.Column("user_id", types.Key, nullable=False),
        sa.Column("role", sa.String(length=20), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_members_project_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_members_user_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("project_id", "user_id", name=op.f("pk_members")),
    )
    op.create_table(
        "sessions",
        sa.Column("token_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("user_id", types.Key, nullable=False),
        sa.Column("created_at", types.Moment(), nullable=False),
        sa.Column("expires_at", types.Moment(), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_sessions_user_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_sessions")),
    )
    op.create_index(op.f("ix_sessions_expires_at"), "sessions", ["expires_at"], unique=False)
    op.create_table(
        "application_states",
        sa.Column("application_id", types.Key, autoincrement=False, nullable=False),
        sa.Column("status", sa.String(length=6), nullable=False),
        sa.Column("armed_at", types.Moment(), nullable=False),
        sa.Column("last_heartbeat_at", types.Moment(), nullable=True),
        sa.Column("started_at", types.Moment(), nullable=True),
        sa.Column("started_rid", sa.Uuid(), nullable=True),
        sa.Column("check_at", types.Moment(), nullable=True),
        sa.ForeignKeyConstraint(
            ["application_id"],
            ["applications.id"],
            name=op.f("fk_application_states_application_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("application_id", name=op.f("pk_application_states")),
        postgresql_with={"fillfactor": "50"},
    )
    op.create_index(
        "ix_application_states_check_at", "application_states", ["check_at"], unique=False
    )
    op.create_table(
        "deliveries",
        sa.Column("id", types.Key, nullable=False),
        sa.Column("uuid", sa.Uuid(), nullable=False),
        sa.Column("alert_id", types.Key, nullable=False),
        sa.Column("channel_id", types.Key, nullable=False),
        sa.Column("application_id", types.Key, nullable=True),
        sa.Column("status", sa.String(length=10), nullable=False),
        sa.Column(
            "attempt", sa.Integer(), nullable=False, comment="the last one begun; the fencing token"
        ),
        sa.Column(
            "due_at",
            types.Moment(),
            nullable=True,
            comment="next attempt; while leased, the end of the lease",
        ),
        sa.Column("leased_until", types.Moment(), nullable=True),
        sa.Column("first_attempt_at", types.Moment(), nullable=True),
        sa.Column("finished_at", types.Moment(), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("created_at", types.Moment(), nullable=False),
        sa.ForeignKeyConstraint(
            ["alert_id"], ["alerts.id"], name=op.f("fk_deliveries_alert_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["channel_id"],
            ["channels.id"],
            name=op.f("fk_deliveries_channel_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deliveries")),
        sa.UniqueConstraint("uuid", name=op.f("uq_deliveries_uuid")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_deliveries_alert_id"), "deliveries", ["alert_id"], unique=False)
    op.create_index(
        op.f("ix_deliveries_channel_id_id"), "deliveries", ["channel_id", "id"], unique=False
    )
    op.create_index(
        "ix_deliveries_due",
        "deliveries",
        ["due_at"],
        unique=False,
        postgresql_where=sa.text("status = 'pending'"),
        sqlite_where=sa.text("status = 'pending'"),
    )
    op.create_table(
        "incidents",
        sa.Column("id", types.Key, nullable=False),
        sa.Column("project_id", types.Key, nullable=False),
        sa.Column("application_id", types.Key, nullable=False),
        sa.Column("reason", sa.String(length=16), nullable=False),
        sa.Column("exit_status", sa.SmallInteger(), nullable=True),
        sa.Column("opened_at", types.Moment(), nullable=False),
        sa.Column("closed_at", types.Moment(), nullable=True),
        sa.Column("last_heartbeat_at", types.Moment(), nullable=True),
        sa.ForeignKeyConstraint(
            ["application_id"],
            ["applications.id"],
            name=op.f("fk_incidents_application_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["project_id"],
            ["projects.id"],
            name=op.f("fk_incidents_project_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_incidents")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        op.f("ix_incidents_application_id_opened_at"),
        "incidents",
        ["application_id", "opened_at"],
        unique=False,
    )
    op.create_index(
        op.f("ix_incidents_project_id_opened_at"),
        "incidents",
        ["project_id", "opened_at"],
        unique=False,
    )
    op.create_index(
        "uq_incidents_open",
        "incidents",
        ["application_id"],
        unique=True,
        postgresql_where=sa.text("closed_at IS NULL"),
        sqlite_where=sa.text("closed_at IS NULL"),
    )
    op.create_table(
        "subscriptions",
        sa.Column("application_id", types.Key, nullable=False),
        sa.Column("channel_id", types.Key, nullable=False),
        sa.ForeignKeyConstraint(
            ["application_id"],
            ["applications.id"],
            name=op.f("fk_subscriptions_application_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["channel_id"],
            ["channels.id"],
            name=op.f("fk_subscriptions_channel_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("application_id", "channel_id", name=op.f("pk_subscriptions")),
    )
    op.create_index(
        op.f("ix_subscriptions_channel_id"), "subscriptions", ["channel_id"], unique=False
    )
    op.create_table(
        "delivery_attempts",
        sa.Column("id", types.Key, nullable=False),
        sa.Column("delivery_id", types.Key, nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("started_at", types.Moment(), nullable=False),
        sa.Column("finished_at", types.Moment(), nullable=False),
        sa.Column("outcome", sa.String(length=10), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["delivery_id"],
            ["deliveries.id"],
            name=op.f("fk_delivery_attempts_delivery_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_delivery_attempts")),
        sa.UniqueConstraint(
            "delivery_id", "attempt", name=op.f("uq_delivery_attempts_delivery_id_attempt")
        ),
    )
    if op.get_bind().dialect.name == "postgresql":
        _partitioned_history()
    else:
        _plain_history()


def _partitioned_history() -> None:
    # No primary key: nothing looks a row up by id alone, and each index costs every heartbeat.
    op.execute("CREATE SEQUENCE heartbeats_id_seq AS bigint CACHE 1000")
    op.execute(
        """
        CREATE TABLE heartbeats (
            id bigint NOT NULL DEFAULT nextval('heartbeats_id_seq'),
            application_id bigint NOT NULL,
            kind smallint NOT NULL,
            received_at timestamptz NOT NULL,
            exit_status smallint,
            duration bigint,
            rid uuid,
            method varchar(16) NOT NULL,
            remote_address varchar(64),
            user_agent varchar(256),
            body_size integer NOT NULL,
            body bytea
        ) PARTITION BY RANGE (received_at)
        """
    )
    op.execute("COMMENT ON COLUMN heartbeats.duration IS 'microseconds'")
    op.execute(
        "CREATE INDEX ix_heartbeats_application_id_received_at"
        " ON heartbeats (application_id, received_at)"
    )
    # Catches what no weekly partition was made for; housekeeping makes those ahead of time.
    op.execute("CREATE TABLE heartbeats_default PARTITION OF heartbeats DEFAULT")


def _plain_history() -> None:
    op.create_table(
        "heartbeats",
        sa.Column("id", types.Key, nullable=False),
        sa.Column("application_id", types.Key, nullable=False),
        sa.Column("kind", sa.SmallInteger(), nullable=False),
        sa.Column("received_at", types.Moment(), nullable=False),
        sa.Column("exit_status", sa.SmallInteger(), nullable=True),
        sa.Column("duration", sa.BigInteger(), nullable=True, comment="microseconds"),
        sa.Column("rid", sa.Uuid(), nullable=True),
        sa.Column("method", sa.String(length=16), nullable=False),
        sa.Column("remote_address", sa.String(length=64), nullable=True),
        sa.Column("user_agent", sa.String(length=256), nullable=True),
        sa.Column("body_size", sa.Integer(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_heartbeats")),
    )
    op.create_index(
        "ix_heartbeats_application_id_received_at",
        "heartbeats",
        ["application_id", "received_at"],
        unique=False,
    )

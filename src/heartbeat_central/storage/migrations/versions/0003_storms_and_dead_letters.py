"""Storms, with the alerts that their digests take the place of; dead letters told by other channels.

Revision ID: 0003
Revises: 0002
"""

import sqlalchemy as sa
from alembic import op

from heartbeat_central.storage import types

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table; the columns are empty for what is stored already."""
    op.create_table(
        "storms",
        sa.Column("id", types.Key, autoincrement=True, nullable=False),
        sa.Column("project_id", types.Key, nullable=False),
        sa.Column(
            "began_at", types.Moment(), nullable=False, comment="none of its outages began before"
        ),
        sa.Column(
            "last_down_at", types.Moment(), nullable=False, comment="when its newest outage began"
        ),
        sa.Column(
            "held_since",
            types.Moment(),
            nullable=True,
            comment="the first alert that waits for the next digest",
        ),
        sa.Column(
            "digest_at",
            types.Moment(),
            nullable=True,
            comment="when that goes out; NULL: nothing waits",
        ),
        sa.Column(
            "doubted_at",
            types.Moment(),
            nullable=True,
            comment="a node could not reach out when it was due",
        ),
        sa.Column("last_digest_at", types.Moment(), nullable=True),
        sa.Column("digests", sa.Integer(), nullable=False, comment="without a pause between them"),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_storms_project_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_storms")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_storms_project_id_id"), "storms", ["project_id", "id"])
    waiting = sa.text("digest_at IS NOT NULL")
    op.create_index(
        "ix_storms_digest_at",
        "storms",
        ["digest_at"],
        postgresql_where=waiting,
        sqlite_where=waiting,
    )
    op.add_column("incidents", sa.Column("storm_id", types.Key, nullable=True))
    op.add_column(
        "deliveries",
        sa.Column(
            "storm_id",
            types.Key,
            nullable=True,
            comment="the storm of which this alert tells one outage",
        ),
    )
    op.add_column(
        "deliveries",
        sa.Column(
            "merged_into",
            types.Key,
            nullable=True,
            comment="the delivery of the digest that took its place",
        ),
    )
    in_storm = sa.text("storm_id IS NOT NULL")
    op.create_index(
        "ix_deliveries_storm",
        "deliveries",
        ["storm_id", "channel_id"],
        postgresql_where=in_storm,
        sqlite_where=in_storm,
    )
    op.add_column(
        "deliveries",
        sa.Column(
            "fallback_due",
            sa.Boolean(),
            nullable=True,
            comment="true: other channels have yet to tell of it",
        ),
    )
    op.add_column(
        "channels",
        sa.Column(
            "fallback_told_at",
            types.Moment(),
            nullable=True,
            comment="when the others last told of its dead letters",
        ),
    )
    for name, column, condition in (
        (
            "ix_deliveries_leased",
            "leased_until",
            sa.text("leased_until IS NOT NULL AND status = 'pending'"),
        ),
        ("ix_deliveries_dead", "id", sa.text("status = 'dead'")),
        ("ix_deliveries_fallback", "channel_id", sa.text("fallback_due IS NOT NULL")),
    ):
        op.create_index(
            name, "deliveries", [column], postgresql_where=condition, sqlite_where=condition
        )

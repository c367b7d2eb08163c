"""Nodes with their last self-beat, and the blind windows that follow from them.

Revision ID: 0005
Revises: 0004
"""

import sqlalchemy as sa
from alembic import op

from heartbeat_central.storage import types

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create both tables."""
    op.create_table(
        "nodes",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("started_at", types.Moment(), nullable=False),
        sa.Column("seen_at", types.Moment(), nullable=False),
        sa.Column("stopped_at", types.Moment(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_nodes")),
        postgresql_with={"fillfactor": "10"},
    )
    op.create_table(
        "blind_windows",
        sa.Column("id", types.Key, nullable=False),
        sa.Column("started_at", types.Moment(), nullable=False),
        sa.Column("ended_at", types.Moment(), nullable=False),
        sa.Column("cause", sa.String(16), nullable=False),
        sa.Column("digest_due_at", types.Moment(), nullable=True),
        sa.Column("digested_at", types.Moment(), nullable=True),
        sa.Column("settled_at", types.Moment(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_blind_windows")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_blind_windows_ended_at"), "blind_windows", ["ended_at"], unique=False)

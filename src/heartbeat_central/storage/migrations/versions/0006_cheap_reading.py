"""Indexes for lists of what is not up, and a count of changes for open pages.

Revision ID: 0006
Revises: 0005
"""

import sqlalchemy as sa
from alembic import op

from heartbeat_central.storage import concurrently

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def prepare(connection: sa.Connection) -> None:
    """Build the index on the table that every heartbeat writes to, while they do."""
    concurrently.create_index(
        connection,
        "ix_application_states_not_up",
        "ON application_states (status, application_id) WHERE status <> 'up'",
    )


def upgrade() -> None:
    """Add them; the code before knows of none and goes on as it was."""
    op.add_column(
        "projects",
        sa.Column("changes", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
    )
    not_up = sa.text("status <> 'up'")
    op.create_index(
        "ix_application_states_not_up",
        "application_states",
        ["status", "application_id"],
        unique=False,
        if_not_exists=True,
        postgresql_where=not_up,
        sqlite_where=not_up,
    )
    is_open = sa.text("closed_at IS NULL")
    op.create_index(
        "ix_incidents_open_project_id_opened_at",
        "incidents",
        ["project_id", "opened_at"],
        unique=False,
        postgresql_where=is_open,
        sqlite_where=is_open,
    )

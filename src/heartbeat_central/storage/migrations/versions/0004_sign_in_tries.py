"""The sign-ins that were tried lately, which all processes have to count together.

Revision ID: 0004
Revises: 0003
"""

import sqlalchemy as sa
from alembic import op

from heartbeat_central.storage import types

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "sign_in_tries",
        sa.Column("id", types.Key, autoincrement=True, nullable=False),
        sa.Column(
            "subject",
            sa.LargeBinary(length=32),
            nullable=False,
            comment="SHA-256 of account and address",
        ),
        sa.Column("tried_at", types.Moment(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sign_in_tries")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        op.f("ix_sign_in_tries_subject_tried_at"), "sign_in_tries", ["subject", "tried_at"]
    )
    op.create_index(op.f("ix_sign_in_tries_tried_at"), "sign_in_tries", ["tried_at"])

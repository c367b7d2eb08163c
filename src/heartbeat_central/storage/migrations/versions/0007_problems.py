"""Why an application can't be watched.

Revision ID: 0007
Revises: 0006
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column, and an index of the few rows that have something in it."""
    op.add_column("applications", sa.Column("problem", sa.Text(), nullable=True))
    known = sa.text("problem IS NOT NULL")
    op.create_index(
        "ix_applications_problem",
        "applications",
        ["id"],
        postgresql_where=known,
        sqlite_where=known,
    )

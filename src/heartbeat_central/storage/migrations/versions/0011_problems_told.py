"""Which channels have been told that an application can't be watched.

Revision ID: 0011
Revises: 0010
"""

import sqlalchemy as sa
from alembic import op

from heartbeat_central.storage.types import Moment

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

works_with = "0009"


def upgrade() -> None:
    """Add the columns, and an index of the few rows of which something is still to be told.

    What an older version had found by then is told by the first look through all that is stored.
    """
    op.add_column("applications", sa.Column("problem_untold_since", Moment(), nullable=True))
    op.add_column("applications", sa.Column("problem_told_at", Moment(), nullable=True))
    op.add_column("projects", sa.Column("problems_told_at", Moment(), nullable=True))
    untold = sa.text("problem_untold_since IS NOT NULL")
    op.create_index(
        "ix_applications_problem_untold",
        "applications",
        ["project_id"],
        postgresql_where=untold,
        sqlite_where=untold,
    )

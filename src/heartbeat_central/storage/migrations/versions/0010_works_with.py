"""Which older code works on the tables: a node of the version before may start on them.

Revision ID: 0010
Revises: 0009
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

works_with = "0009"


def upgrade() -> None:
    """Add the column, which `storage.migrate` fills in after each migration with its `works_with`."""
    op.add_column("alembic_version", sa.Column("works_with", sa.String(32), nullable=True))

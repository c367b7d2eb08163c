"""When the detector looked last at a deadline that blind windows had moved.

Revision ID: 0009
Revises: 0008
"""

import sqlalchemy as sa
from alembic import op

from heartbeat_central.storage.types import Moment

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; no index, for what touches an application compares it in the row it has found."""
    op.add_column("application_states", sa.Column("extended_at", Moment(), nullable=True))

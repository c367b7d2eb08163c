"""Vacuum the table of states soon, however large it is (PostgreSQL).

Revision ID: 0008
Revises: 0007
"""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Set it: this waits for nobody who reads or writes, and nobody for it."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "ALTER TABLE application_states SET (autovacuum_vacuum_scale_factor = 0.02,"
            " autovacuum_vacuum_threshold = 500, autovacuum_vacuum_cost_delay = 1)"
        )

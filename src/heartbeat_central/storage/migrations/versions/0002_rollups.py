"""Hourly and daily rollups, and what computing them once needs to know.

Revision ID: 0002
Revises: 0001
"""

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

from heartbeat_central.storage import concurrently, types

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def prepare(connection: sa.Connection) -> None:
    """Index the ids that are there: it takes as long as reading the history."""
    for partition in concurrently.partitions_of(connection, "heartbeats"):
        concurrently.create_index(
            connection, f"{partition}_id", f'ON "{partition}" USING brin (id)'
        )


def upgrade() -> None:
    """Create the tables; let the history on PostgreSQL be read in the order of its ids."""
    for table in ("hourly_rollups", "daily_rollups"):
        _rollups(table)
    progress = op.create_table(
        "rollup_progress",
        sa.Column("id", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("rolled_id", sa.BigInteger(), nullable=False),
        sa.Column("rolling_id", sa.BigInteger(), nullable=False),
        sa.Column("rolled_application_id", sa.BigInteger(), nullable=False),
        sa.Column("rolled_hour", types.Moment(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rollup_progress")),
    )
    nothing = {"rolled_id": 0, "rolling_id": 0, "rolled_application_id": 0}
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    op.bulk_insert(progress, [{"id": 1, **nothing, "rolled_hour": epoch}])
    op.add_column("incidents", sa.Column("rolled_until", types.Moment(), nullable=True))
    unrolled = sa.text("closed_at IS NULL OR rolled_until IS NULL OR rolled_until <> closed_at")
    op.create_index(
        "ix_incidents_unrolled",
        "incidents",
        ["id"],
        unique=False,
        postgresql_where=unrolled,
        sqlite_where=unrolled,
    )
    if op.get_bind().dialect.name == "postgresql":
        _ordered_ids()
        _indexes_on_ids()


def _rollups(table: str) -> None:
    op.create_table(
        table,
        sa.Column("application_id", types.Key, autoincrement=False, nullable=False),
        sa.Column("starts_at", types.Moment(), nullable=False),
        sa.Column("first_success_at", types.Moment(), nullable=True),
        sa.Column("last_success_at", types.Moment(), nullable=True),
        sa.Column("longest_gap", sa.BigInteger(), nullable=False, comment="microseconds"),
        sa.Column("run_time", sa.BigInteger(), nullable=False, comment="microseconds"),
        sa.Column("longest_run", sa.BigInteger(), nullable=False, comment="microseconds"),
        sa.Column("down", sa.BigInteger(), nullable=False, comment="microseconds"),
        sa.Column("successes", sa.Integer(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("runs", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["application_id"],
            ["applications.id"],
            name=op.f(f"fk_{table}_application_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("application_id", "starts_at", name=op.f(f"pk_{table}")),
        sqlite_with_rowid=False,
        postgresql_with={"fillfactor": "80"},
    )


def _ordered_ids() -> None:
    # A session that holds a thousand ids in advance may use a low one hours later. Without that, an
    # id below one that was seen can only come from a transaction that had begun by then. RESTART
    # takes from sessions that run already what they hold; both wait for whoever is drawing an id.
    op.execute("ALTER SEQUENCE heartbeats_id_seq CACHE 1")
    op.execute(
        """
        DO $$ BEGIN
            EXECUTE format('ALTER SEQUENCE heartbeats_id_seq RESTART WITH %s',
                           (SELECT last_value + 1 FROM heartbeats_id_seq));
        END $$
        """
    )


def _indexes_on_ids() -> None:
    # On each partition rather than on the whole, where it would have to exist on SQLite as well:
    # there the id is the table's own key. storage/partitions.py does the same for new partitions.
    op.execute(
        """
        DO $$ DECLARE child regclass; BEGIN
            FOR child IN SELECT inhrelid FROM pg_inherits WHERE inhparent = 'heartbeats'::regclass
            LOOP
                EXECUTE format('CREATE INDEX IF NOT EXISTS %I ON %s USING brin (id)',
                               (SELECT relname FROM pg_class WHERE oid = child) || '_id', child);
            END LOOP;
        END $$
        """
    )

"""The history by the hour and by the day, and how far it has been added up."""

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Integer,
    SmallInteger,
    Table,
)

from heartbeat_central.storage.tables.base import metadata
from heartbeat_central.storage.types import Key, Moment


def _rollups(name: str) -> Table:
    return Table(
        name,
        metadata,
        Column(
            "application_id",
            Key,
            ForeignKey("applications.id", ondelete="CASCADE"),
            primary_key=True,
            autoincrement=False,
        ),
        Column("starts_at", Moment, primary_key=True),
        Column("first_success_at", Moment),
        Column("last_success_at", Moment),
        Column("longest_gap", BigInteger, nullable=False, comment="microseconds"),
        Column("run_time", BigInteger, nullable=False, comment="microseconds"),
        Column("longest_run", BigInteger, nullable=False, comment="microseconds"),
        Column("down", BigInteger, nullable=False, comment="microseconds"),
        Column("successes", Integer, nullable=False),
        Column("failures", Integer, nullable=False),
        Column("runs", Integer, nullable=False),
        sqlite_with_rowid=False,
        postgresql_with={"fillfactor": "80"},
    )


hourly_rollups = _rollups("hourly_rollups")
daily_rollups = _rollups("daily_rollups")

rollup_progress = Table(
    "rollup_progress",
    metadata,
    # One row, number 1.
    Column("id", SmallInteger, primary_key=True, autoincrement=False),
    # Every heartbeat up to `rolled_id` is in the rollups. What those up to `rolling_id` come to is being
    # added, up to this application and hour so far.
    Column("rolled_id", BigInteger, nullable=False),
    Column("rolling_id", BigInteger, nullable=False),
    Column("rolled_application_id", BigInteger, nullable=False),
    Column("rolled_hour", Moment, nullable=False),
)

"""Daily partitions of the history on PostgreSQL: made ahead of time, dropped whole by age.

Changing the layout needs locks that recording and reading would queue behind. So each change is a
transaction of its own that gives up soon where it can't have its lock; the next housekeeping tries
again, and until then rows have a place in the default partition.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, date, datetime, timedelta

from sqlalchemy import Connection, text

from heartbeat_central.domain.errors import StorageUnavailable
from heartbeat_central.storage.engine import Database

DAYS_AHEAD = 14
"""How far ahead partitions exist, should housekeeping not run for a while."""
LOCK_TIMEOUT = 200
"""Milliseconds that recording may wait behind a change of the layout that waits itself."""

MOST_MOVED = 50_000
"""Rows that may move from the default partition while recording waits: a part of a second."""

_PREFIX = "heartbeats_on_"
_LOCK = 0x4842_4332
"""An arbitrary number that names this advisory lock."""


@contextmanager
def layout(database: Database) -> Iterator[Connection]:
    """Yield a transaction that may change the partitions, as the only node at that moment.

    Raises StorageUnavailable when a lock can't be had soon.
    """
    with database.write() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        connection.execute(text(f"SET LOCAL lock_timeout = {LOCK_TIMEOUT}"))
        yield connection


def missing_days(connection: Connection, *, now: datetime) -> list[date]:
    """Return which of today and the next days have no partition, soonest first."""
    existing = set(existing_days(connection))
    ahead = (_day(now) + timedelta(days=days) for days in range(DAYS_AHEAD + 1))
    return [day for day in ahead if day not in existing]


def make(connection: Connection, day: date, *, most_moved: int | None = None) -> bool:
    """Create the partition of a day, unless another node has, with what waits in the default one.

    False when more than `most_moved` rows wait there: then they stay, and there is no partition.
    """
    if day in existing_days(connection):
        return True
    name, bounds = (
        _name(day),
        {"since": _midnight(day), "until": _midnight(day + timedelta(days=1))},
    )
    if most_moved is not None:
        # Before anybody has to wait.
        counted = text(
            "SELECT count(*) FROM (SELECT FROM heartbeats_default"
            " WHERE received_at >= :since AND received_at < :until LIMIT :most) AS waiting"
        )
        waiting = connection.execute(counted, {**bounds, "most": most_moved + 1}).scalar_one()
        if waiting > most_moved:
            return False
    connection.execute(text(f"CREATE TABLE {name} (LIKE heartbeats INCLUDING ALL)"))
    connection.execute(text(f"CREATE INDEX {name}_id ON {name} USING brin (id)"))
    # From here on recording waits, for as long as attaching takes: a heartbeat on its way into the
    # default partition would find that it isn't its place any more, and be refused.
    connection.execute(text("LOCK TABLE heartbeats IN SHARE ROW EXCLUSIVE MODE"))
    connection.execute(text("LOCK TABLE heartbeats_default IN ACCESS EXCLUSIVE MODE"))
    connection.execute(
        text(
            "WITH moved AS (DELETE FROM heartbeats_default"  # noqa: S608  our own name
            " WHERE received_at >= :since AND received_at < :until RETURNING *)"
            f" INSERT INTO {name} SELECT * FROM moved"
        ),
        bounds,
    )
    # Identifiers and bounds are dates of our own making; DDL takes no parameters.
    connection.execute(
        text(
            f"ALTER TABLE heartbeats ATTACH PARTITION {name} FOR VALUES"
            f" FROM ('{bounds['since']}') TO ('{bounds['until']}')"
        )
    )
    return True


def days_before(connection: Connection, moment: datetime) -> list[date]:
    """Return the days with a partition that lie wholly before `moment`, oldest first."""
    return sorted(day for day in existing_days(connection) if day < _day(moment))


def drop(connection: Connection, day: date, *, rolled_id: int) -> bool:
    """Drop a day; False when it holds heartbeats with ids above `rolled_id`, and stays."""
    name = _name(day)
    if day not in existing_days(connection):
        return True
    # First without a lock that others wait for, then again behind it: the second look is short.
    if _holds_newer(connection, name, rolled_id):
        return False
    # The whole before the part, as readers lock them, or both could wait for each other.
    connection.execute(text("LOCK TABLE ONLY heartbeats IN ACCESS EXCLUSIVE MODE"))
    connection.execute(text(f"LOCK TABLE {name} IN ACCESS EXCLUSIVE MODE"))
    if _holds_newer(connection, name, rolled_id):
        return False
    connection.execute(text(f"DROP TABLE {name}"))
    return True


def delete_unplaced(connection: Connection, moment: datetime, *, rolled_id: int, most: int) -> int:
    """Delete up to `most` rows from before `moment` that no day was made for; return how many."""
    # An array: a join by ctid is a look at each row, where IN may become a scan for each.
    return connection.execute(
        text(
            "DELETE FROM heartbeats_default WHERE ctid = ANY (ARRAY("
            "SELECT ctid FROM heartbeats_default"
            " WHERE received_at < :moment AND id <= :rolled_id LIMIT :most))"
        ),
        {"moment": moment, "rolled_id": rolled_id, "most": most},
    ).rowcount


def summarize_recent(database: Database, *, now: datetime) -> None:
    """Bring the indexes on ids up to date: a block that isn't summarized is read by every search."""
    if database.dialect == "sqlite":
        return
    for name in (_name(_day(now) - timedelta(days=1)), _name(_day(now)), "heartbeats_default"):
        with suppress(StorageUnavailable), database.write() as connection:
            # A vacuum that is at work does it as well when it ends, and gives way to who waits longer.
            connection.execute(text(f"SET LOCAL lock_timeout = {LOCK_TIMEOUT}"))
            connection.execute(
                text("SELECT brin_summarize_new_values(to_regclass(:index))"),
                {"index": f"{name}_id"},
            )


def existing_days(connection: Connection) -> list[date]:
    """Return the days that have a partition."""
    names = connection.execute(
        text(
            "SELECT child.relname FROM pg_inherits"
            " JOIN pg_class child ON child.oid = inhrelid"
            " WHERE inhparent = 'heartbeats'::regclass AND child.relname LIKE :prefix"
        ),
        {"prefix": f"{_PREFIX}%"},
    ).scalars()
    return [
        datetime.strptime(name.removeprefix(_PREFIX), "%Y%m%d").replace(tzinfo=UTC).date()
        for name in names
    ]


def _holds_newer(connection: Connection, name: str, rolled_id: int) -> bool:
    query = text(
        f"SELECT EXISTS (SELECT 1 FROM {name} WHERE id > :rolled_id)"  # noqa: S608  our own name
    )
    return bool(connection.execute(query, {"rolled_id": rolled_id}).scalar_one())


def _name(day: date) -> str:
    return f"{_PREFIX}{day:%Y%m%d}"


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _day(moment: datetime) -> date:
    return moment.astimezone(UTC).date()

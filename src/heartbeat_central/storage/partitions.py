"""Daily partitions of the history on PostgreSQL: made ahead of time, dropped whole by age."""

from datetime import UTC, date, datetime, timedelta

from sqlalchemy import Connection, text

DAYS_AHEAD = 14
"""How far ahead partitions exist, should housekeeping not run for a while."""

_PREFIX = "heartbeats_on_"
_LOCK = 0x4842_4332
"""An arbitrary number that names this advisory lock."""


def lock_layout(connection: Connection) -> None:
    """Wait until no other node is changing the partitions."""
    connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})


def make_ahead(connection: Connection, *, now: datetime) -> None:
    """Create the partitions of today and the next days that are missing."""
    existing = set(existing_days(connection))
    for day in (_day(now) + timedelta(days=ahead) for ahead in range(DAYS_AHEAD + 1)):
        if day not in existing:
            until = day + timedelta(days=1)
            # Identifiers and bounds are dates of our own making; DDL takes no parameters.
            connection.execute(
                text(
                    f"CREATE TABLE {_PREFIX}{day:%Y%m%d} PARTITION OF heartbeats"
                    f" FOR VALUES FROM ('{day} 00:00+00') TO ('{until} 00:00+00')"
                )
            )


def drop_older_than(connection: Connection, moment: datetime) -> int:
    """Drop the days that lie wholly before `moment`; return how many."""
    past = [day for day in existing_days(connection) if day < _day(moment)]
    for day in past:
        connection.execute(text(f"DROP TABLE {_PREFIX}{day:%Y%m%d}"))
    # Empty but for rows that no day was made for.
    connection.execute(
        text("DELETE FROM heartbeats_default WHERE received_at < :moment"), {"moment": moment}
    )
    return len(past)


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


def _day(moment: datetime) -> date:
    return moment.astimezone(UTC).date()

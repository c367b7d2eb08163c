"""Times inside the service are aware and in UTC; zones exist only in schedules and at display."""

from datetime import UTC, datetime


def aware(moment: datetime) -> datetime:
    """Return `moment` unchanged, or raise ValueError when it carries no time zone."""
    if moment.tzinfo is None:
        raise ValueError(f"{moment.isoformat()} has no time zone; use an aware UTC datetime")
    return moment


def aware_or_none(moment: datetime | None) -> datetime | None:
    """Like `aware`, and None stays None."""
    return None if moment is None else aware(moment)


def isoformat(moment: datetime | None) -> str | None:
    """Return RFC 3339 text in UTC with microseconds: `2026-11-23T12:00:00.123456+00:00`."""
    if moment is None:
        return None
    return aware(moment).astimezone(UTC).isoformat(timespec="microseconds")


def parse(text: str | None) -> datetime | None:
    """Return the moment `isoformat` wrote; None stays None. Raises ValueError on anything else."""
    return None if text is None else aware(datetime.fromisoformat(text)).astimezone(UTC)

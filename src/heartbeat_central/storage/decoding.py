"""From stored columns to what the domain knows. Whatever they hold, something comes back.

What can't be understood is told as a `problem`: a schedule that was valid when it was stored may not be
any more, in another version of a library or with another time zone database.
"""

from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from heartbeat_central.domain.application import ApplicationSettings
from heartbeat_central.domain.errors import Invalid
from heartbeat_central.domain.schedule import (
    AnySchedule,
    IntervalSchedule,
    Timing,
    UnreadableSchedule,
    calendar_schedule,
)
from heartbeat_central.domain.state import State, Status
from heartbeat_central.storage.careful import damage, reason

FIRST = datetime(1970, 1, 1, tzinfo=UTC)
_LAST = datetime(9000, 1, 1, tzinfo=UTC)
"""Far enough from the end of Python's calendar that no interval leads beyond it."""


@lru_cache(maxsize=65_536)
def timing_of(
    expected_interval: int | None,
    kind: str | None,
    expression: str | None,
    timezone: str | None,
    grace_period: int,
    expect_first_heartbeat: bool,
) -> Timing:
    """Return the timing of stored columns. Applications that share settings share the object."""
    schedule: AnySchedule
    try:
        if expected_interval is not None:
            schedule = IntervalSchedule(expected_interval)
        else:
            schedule = calendar_schedule(kind or "", expression or "", timezone or "UTC")
        return Timing(
            schedule=schedule,
            grace_period=grace_period,
            expect_first_heartbeat=expect_first_heartbeat,
        )
    except Exception as error:
        # Not Invalid alone: nobody knows what a library says to an expression of another version.
        problem = str(error) if isinstance(error, Invalid) else reason(error)
    if expected_interval is None and not kind:
        problem = "expected_interval, schedule: neither is stored"
    schedule = UnreadableSchedule(
        problem=problem,
        expected_interval=_integer(expected_interval),
        kind=_text(kind),
        expression=_text(expression),
        timezone=_text(timezone),
    )
    return Timing(
        schedule=schedule,
        grace_period=_integer(grace_period) or 0,
        expect_first_heartbeat=bool(expect_first_heartbeat),
    )


def state_of(row: Any) -> State:
    """Return the state in a row. One that can't be read is a stand-in: `problem` says why."""
    # When to look next follows from the rest.
    problem = damage(row, but="check_at")
    status = Status.NEW
    try:
        status = Status(row.status)
    except ValueError:
        problem = problem or f"status: {row.status!r} is unknown"
    for moment in (row.armed_at, row.last_heartbeat_at, row.started_at):
        if moment is not None and not FIRST <= moment <= _LAST:
            problem = problem or f"{moment.isoformat()} is no time of a heartbeat"
    if problem is not None:
        return State(
            status=status,
            armed_at=FIRST,
            last_heartbeat_at=_sane(row.last_heartbeat_at),
            check_at=_sane(row.check_at),
            problem=problem,
        )
    return State(
        status=status,
        armed_at=row.armed_at,
        last_heartbeat_at=row.last_heartbeat_at,
        started_at=row.started_at,
        started_rid=row.started_rid,
        check_at=row.check_at,
        extended_at=row.extended_at,
    )


def settings_of(row: Any) -> tuple[ApplicationSettings, str | None]:
    """Return the settings in a row, and what of its labels can't be read.

    Labels judge nothing: what is wrong with them is left out or put right, and told.
    """
    timing = timing_of(
        row.expected_interval,
        row.schedule_kind,
        row.schedule_expression,
        row.schedule_timezone,
        row.grace_period,
        row.expect_first_heartbeat,
    )
    try:
        return _settings(row, timing), damage(row)
    except Exception as error:
        problem = str(error) if isinstance(error, Invalid) else reason(error)
        return _repaired(row, timing), damage(row) or problem


def _settings(row: Any, timing: Timing) -> ApplicationSettings:
    return ApplicationSettings(
        name=row.name,
        timing=timing,
        slug=row.slug,
        description=row.description,
        tags=tuple(row.tags),
    )


def _repaired(row: Any, timing: Timing) -> ApplicationSettings:
    """Return the settings with those of the labels that keep the rules."""
    settings = ApplicationSettings(name=f"Application {row.id}", timing=timing)
    for label in ("name", "slug", "description"):
        # What is no text at all fails in its own way.
        with suppress(Invalid, TypeError, AttributeError):
            settings = replace(settings, **{label: getattr(row, label)})
    return settings


def _sane(moment: datetime | None) -> datetime | None:
    return moment if moment is not None and FIRST <= moment <= _LAST else None


def _integer(value: Any) -> int | None:
    return value if isinstance(value, int) else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None

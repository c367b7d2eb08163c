"""When a heartbeat is expected: every N seconds, or at the times of a cron or OnCalendar expression."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Protocol, assert_never
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError
from oncalendar import OnCalendar, OnCalendarError

from heartbeat_central.domain.errors import FieldError, Invalid, Unforeseeable

LONGEST_SPAN = 366 * 24 * 3600
"""Seconds: the longest interval and the longest grace period."""

CRON_ALIASES: Mapping[str, str] = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
"""The nicknames of crontab(5). `@reboot` has no time, so it is no schedule."""

LOOK_AGAIN = timedelta(hours=1)
"""Until what can't be judged is looked at again. Looked at all the time, a few thousand bad rows would
leave the detector no time for the good ones; never again, nobody would notice that an upgrade has
brought a time zone back."""

_A_MOMENT = datetime(2026, 1, 1, tzinfo=UTC)
"""Any moment will do to find out whether an expression ever fires."""


class Schedule(Protocol):
    """What the state machine asks of every kind of schedule."""

    def next_after(self, moment: datetime) -> datetime:
        """Return the first expected time strictly after `moment`, UTC. Raises Unforeseeable."""

    def spacing(self, moment: datetime) -> timedelta:
        """Return the expected time between two heartbeats around `moment`."""


@dataclass(frozen=True, slots=True)
class IntervalSchedule:
    """A heartbeat at least every `seconds`, counted from the last one."""

    seconds: int

    def __post_init__(self) -> None:
        if not 1 <= self.seconds <= LONGEST_SPAN:
            raise Invalid.one(
                "expected_interval", f"must be between 1 and {LONGEST_SPAN} seconds (366 days)"
            )

    @property
    def length(self) -> timedelta:
        """Return the interval as a span of time."""
        return timedelta(seconds=self.seconds)

    def next_after(self, moment: datetime) -> datetime:
        return moment + self.length

    def spacing(self, moment: datetime) -> timedelta:
        return self.length


@dataclass(frozen=True, slots=True)
class CronSchedule:
    """A heartbeat after each time of a five-field cron expression in a time zone (crontab(5))."""

    expression: str
    timezone: str = "UTC"

    def __post_init__(self) -> None:
        _zone(self.timezone)
        try:
            next(self.times_after(_A_MOMENT))
        except (CronSimError, StopIteration) as error:
            raise Invalid.one("schedule.expression", _bad_cron(self.expression)) from error

    def next_after(self, moment: datetime) -> datetime:
        return _next_after(self, moment)

    def spacing(self, moment: datetime) -> timedelta:
        first = self.next_after(moment)
        return self.next_after(first) - first

    def times_after(self, moment: datetime) -> "_UtcTimes":
        """Return an iterator over the times after `moment`."""
        fields = CRON_ALIASES.get(self.expression.strip().lower(), self.expression)
        # cronsim reads a sixth field as seconds; a crontab has five.
        if len(fields.split()) != 5:
            raise Invalid.one("schedule.expression", _bad_cron(self.expression))
        return _UtcTimes(CronSim(fields, moment.astimezone(_zone(self.timezone))), after=moment)


@dataclass(frozen=True, slots=True)
class OnCalendarSchedule:
    """A heartbeat after each time of a systemd OnCalendar expression (systemd.time(7))."""

    expression: str
    timezone: str = "UTC"

    def __post_init__(self) -> None:
        _zone(self.timezone)
        try:
            next(self.times_after(_A_MOMENT))
        except (OnCalendarError, StopIteration) as error:
            raise Invalid.one(
                "schedule.expression",
                f"{_shown(self.expression)} is no OnCalendar expression that ever fires; "
                "try `Mon..Fri 02:30`",
            ) from error

    def next_after(self, moment: datetime) -> datetime:
        return _next_after(self, moment)

    def spacing(self, moment: datetime) -> timedelta:
        first = self.next_after(moment)
        return self.next_after(first) - first

    def times_after(self, moment: datetime) -> "_UtcTimes":
        """Return an iterator over the times after `moment`."""
        here = moment.astimezone(_zone(self.timezone))
        return _UtcTimes(OnCalendar(self.expression, here), after=moment)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnreadableSchedule:
    """What is stored where a schedule should be: a zone that is gone, an expression that never fires.

    Nobody is down because of it: whoever judges asks for `Timing.problem` first. Its times only say
    when to look again.
    """

    problem: str
    """Why it can't be used, as one sentence."""
    expected_interval: int | None = None
    kind: str | None = None
    expression: str | None = None
    timezone: str | None = None

    def next_after(self, moment: datetime) -> datetime:
        return moment + LOOK_AGAIN

    def spacing(self, moment: datetime) -> timedelta:
        return LOOK_AGAIN


AnySchedule = IntervalSchedule | CronSchedule | OnCalendarSchedule | UnreadableSchedule


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """All that the state machine needs to know of an application's settings."""

    schedule: AnySchedule
    grace_period: int = 0
    """Seconds a heartbeat may be later than expected; also the longest run after a `start`."""
    expect_first_heartbeat: bool = True
    """Whether silence from the very beginning is an outage too."""

    def __post_init__(self) -> None:
        if self.problem is None and not 0 <= self.grace_period <= LONGEST_SPAN:
            raise Invalid(
                [FieldError("grace_period", f"must be 0 to {LONGEST_SPAN} seconds (366 days)")]
            )

    @property
    def problem(self) -> str | None:
        """Return why nothing can be judged by it, None when it can."""
        return self.schedule.problem if isinstance(self.schedule, UnreadableSchedule) else None

    @property
    def grace(self) -> timedelta:
        """Return the grace period as a span of time."""
        return timedelta(0) if self.problem else timedelta(seconds=self.grace_period)


# Working it out takes 100 microseconds, and lists ask for thousands again and again.
@lru_cache(maxsize=16_384)
def _next_after(schedule: CronSchedule | OnCalendarSchedule, moment: datetime) -> datetime:
    try:
        return next(schedule.times_after(moment))
    except StopIteration:
        why = "does not fire any more"
    except Exception as error:
        # What a library makes of an expression and a moment is not for us to foresee.
        why = f"can't be worked out ({type(error).__name__})"
    raise Unforeseeable(f"schedule.expression: {_shown(schedule.expression)} {why}")


class _UtcTimes:
    """Iterates over the times of a library's schedule, in UTC, each later than the one before."""

    def __init__(self, times: CronSim | OnCalendar, *, after: datetime) -> None:
        self._times = times
        self._last = after

    def __next__(self) -> datetime:
        # The libraries go by what the clocks show. Asked in the hour that those show twice, the second
        # time, they begin with times of the first one, which are over.
        while (found := next(self._times).astimezone(UTC)) <= self._last:
            pass
        self._last = found
        return found


def calendar_schedule(
    kind: str, expression: str, timezone: str
) -> CronSchedule | OnCalendarSchedule:
    """Return the schedule of `kind` (`cron` or `oncalendar`). Raises Invalid."""
    if kind == "cron":
        return CronSchedule(expression, timezone)
    if kind == "oncalendar":
        return OnCalendarSchedule(expression, timezone)
    raise Invalid.one("schedule.kind", f"{kind!r} is unknown; use `cron` or `oncalendar`")


def as_json(schedule: AnySchedule) -> dict[str, str] | None:
    """Return the API's `schedule` object; None for a plain interval."""
    match schedule:
        case IntervalSchedule():
            return None
        case CronSchedule():
            kind = "cron"
        case OnCalendarSchedule():
            kind = "oncalendar"
        case UnreadableSchedule():
            return _as_stored(schedule)
        case _:
            assert_never(schedule)
    return {"kind": kind, "expression": schedule.expression, "timezone": schedule.timezone}


def _as_stored(schedule: UnreadableSchedule) -> dict[str, str] | None:
    stored = {
        "kind": schedule.kind,
        "expression": schedule.expression,
        "timezone": schedule.timezone,
    }
    if not any(stored.values()):
        return None
    return {name: text or "" for name, text in stored.items()}


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise Invalid.one(
            "schedule.timezone", f"{name!r} is no IANA time zone; try `Europe/Vienna` or `UTC`"
        ) from error


def _bad_cron(expression: str) -> str:
    return (
        f"{_shown(expression)} is no cron expression that ever fires; "
        "give five fields such as `30 2 * * *`, or `@daily`"
    )


def _shown(expression: str) -> str:
    return repr(expression) if expression.strip() else "an empty text"

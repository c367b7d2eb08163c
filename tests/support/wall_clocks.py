"""What clocks on the wall show around every change of them, 2024 to 2030, and what jobs do then.

That is written down a second time here, with nothing but `zoneinfo`. As Debian's cron(8) tells it, a time of
day that is left out runs as soon as the clocks have changed, one that comes twice runs the first time, and
what runs every so many minutes does so whatever the clocks show. A systemd timer never runs twice at what the
clocks show, be it once a day or every quarter of an hour, and not at all at what they leave out.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

ZONES = [
    "Africa/Cairo",
    "Africa/Casablanca",  # back for Ramadan
    "America/Asuncion",  # no more changes from 2025 on
    "America/Havana",  # at midnight
    "America/Los_Angeles",
    "America/New_York",
    "America/Nuuk",
    "America/Santiago",  # at midnight
    "America/Sao_Paulo",  # none
    "America/St_Johns",
    "Antarctica/Troll",  # by two hours
    "Asia/Beirut",  # at midnight
    "Asia/Jerusalem",
    "Asia/Kathmandu",  # none, +5:45
    "Australia/Lord_Howe",  # by half an hour
    "Australia/Sydney",
    "Europe/London",
    "Europe/Vienna",
    "Pacific/Auckland",
    "Pacific/Chatham",  # at a quarter to
]
QUARTER = timedelta(minutes=15)
"""All times of these schedules and all changes of the clocks fall on one."""

CRON = ("0 0 * * *", "30 2 * * *", "45 2 * * *", "0 * * * *", "*/15 * * * *")
ON_CALENDAR = {
    "*-*-* 00:00": "0 0 * * *",
    "*-*-* 02:30": "30 2 * * *",
    "*-*-* 02:45": "45 2 * * *",
    "*:00": "0 * * * *",
    "*:0/15": "*/15 * * * *",
}
"""The same times of day, as systemd writes them, with what cron calls them."""


@cache
def changes(zone: str) -> list[datetime]:
    """Return when the clocks change, UTC."""
    here = ZoneInfo(zone)
    found = []
    hour = datetime(2024, 1, 1, tzinfo=UTC)
    while hour.year < 2031:
        following = hour + timedelta(hours=6)
        if hour.astimezone(here).utcoffset() != following.astimezone(here).utcoffset():
            moment = hour
            while moment.astimezone(here).utcoffset() == hour.astimezone(here).utcoffset():
                moment += QUARTER
            found.append(moment)
        hour = following
    return found


@cache
def quarters(zone: str, start: datetime, end: datetime) -> list[tuple[datetime, datetime]]:
    """Return each quarter of an hour as UTC and as the clocks on the wall show it."""
    here = ZoneInfo(zone)
    shown = []
    while start <= end:
        shown.append((start, start.astimezone(here).replace(tzinfo=None)))
        start += QUARTER
    return shown


def every_so_often(zone: str, start: datetime, end: datetime, step: int) -> Iterator[datetime]:
    for moment, shown in quarters(zone, start, end):
        if shown.minute % step == 0:
            yield moment


def once_a_day(zone: str, start: datetime, end: datetime, hour: int, minute: int) -> list[datetime]:
    runs = []
    furthest = None
    for moment, shown in quarters(zone, start, end):
        wanted = shown.replace(hour=hour, minute=minute)
        # What the wall shows now for the first time, with all that it has skipped.
        before = furthest if furthest is not None else shown - QUARTER
        if before < wanted <= shown:
            runs.append(moment)
        furthest = shown if furthest is None else max(furthest, shown)
    return runs


def runs_of(expression: str, zone: str, start: datetime, end: datetime) -> list[datetime]:
    minute, hour = expression.split()[:2]
    if hour == "*":
        step = 60 if minute == "0" else int(minute.removeprefix("*/"))
        return list(every_so_often(zone, start, end, step))
    return once_a_day(zone, start, end, int(hour), int(minute))


def timer_runs(expression: str, zone: str, start: datetime, end: datetime) -> list[datetime]:
    """Return when a systemd timer with such an OnCalendar expression runs."""
    minute, hour = ON_CALENDAR[expression].split()[:2]
    every = 60 if hour != "*" or minute == "0" else int(minute.removeprefix("*/"))
    runs = []
    furthest: datetime | None = None
    for moment, shown in quarters(zone, start, end):
        if furthest is not None and shown <= furthest:
            continue
        furthest = shown
        if hour == "*":
            matches = shown.minute % every == 0
        else:
            matches = (shown.hour, shown.minute) == (int(hour), int(minute))
        if matches:
            runs.append(moment)
    return runs

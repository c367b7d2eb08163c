"""Times and spans in words. static/js/times.js says them alike, so that nothing flickers."""

from datetime import UTC, datetime, timedelta

from heartbeat_central.domain.view import ApplicationView

UNITS = {"seconds": 1, "minutes": 60, "hours": 3600, "days": 86400}
"""The units of the forms, in seconds."""
_SHORT = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def span(length: timedelta | float | None) -> str:
    """Return a length in its two largest units: `2 d 3 h`, `5 min`, `1.2 s`, `40 ms`."""
    if length is None:
        return "–"
    seconds = length.total_seconds() if isinstance(length, timedelta) else float(length)
    if 0 < seconds < 1:
        return f"{max(1, round(seconds * 1000))} ms"
    if 0 < seconds < 10 and not seconds.is_integer():
        return f"{seconds:.1f} s"
    left = int(seconds)
    for position, (size, name) in enumerate(_SHORT[:-1]):
        if left >= size:
            smaller, small_name = _SHORT[position + 1]
            rest = left % size // smaller
            whole = f"{left // size} {name}"
            return f"{whole} {rest} {small_name}" if rest else whole
    return f"{left} s"


def relative(moment: datetime, now: datetime) -> str:
    """Return how far away a moment is, rounded towards now: `12 s ago`, `in 5 min`, `now`."""
    seconds = int((moment - now).total_seconds())
    if seconds == 0:
        return "now"
    distance = abs(seconds)
    for size, name, until in ((1, "s", 60), (60, "min", 3600), (3600, "h", 172800)):
        if distance < until:
            words = f"{distance // size} {name}"
            break
    else:
        words = f"{distance // 86400} d"
    return f"in {words}" if seconds > 0 else f"{words} ago"


def absolute(moment: datetime) -> str:
    """Return a moment in UTC: `2026-11-23 12:00:00 UTC`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def schedule_words(view: ApplicationView) -> str:
    """Return when heartbeats are expected: `every 5 min`, `30 2 * * * (Europe/Vienna)`."""
    if view.schedule is None and view.expected_interval is None:
        return "none"
    if view.schedule is None:
        return f"every {span(view.expected_interval)}"
    return f"{view.schedule['expression']} ({view.schedule['timezone']})"


def sentence(phrase: str) -> str:
    """Return a phrase, such as what a rule says is wrong, as a sentence."""
    return f"{phrase[:1].upper()}{phrase[1:]}." if phrase else ""


def amount(seconds: int) -> tuple[str, str]:
    """Return seconds as a form shows them: the number and the largest unit that is exact."""
    for unit, size in reversed(UNITS.items()):
        if seconds and seconds % size == 0:
            return str(seconds // size), unit
    return str(seconds), "seconds"

"""Until when an application may stay silent: the deadline, and what blind windows do to it.

A heartbeat that this service could not have received must not be missed. So a blind window that
overlaps the span in which a heartbeat was due grants one more interval from its end. The application may
call in that time, or lose that heartbeat in another window; that is granted at most three times in a
row, so that one that is really dead is told however often this service restarts.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from heartbeat_central.domain.blind_window import NO_WINDOWS, BlindWindows, Span
from heartbeat_central.domain.incident import Reason
from heartbeat_central.domain.schedule import IntervalSchedule, Timing

MOST_EXTENSIONS = 3
"""In a row, without a heartbeat between them."""
SHORTEST_LEAD = timedelta(hours=1)
"""A job may well call this much earlier than after its last run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """A deadline, and how it came about."""

    reason: Reason
    """Why it is down past it."""
    spans: tuple[Span, ...]
    """When the heartbeats were due that silence is judged by. Each but the last may have been swallowed
    by a blind window that overlaps the span; the first ends at the deadline by the clock alone."""

    @property
    def at(self) -> datetime:
        """Return the deadline that counts: past it the application is down."""
        return self.spans[-1].end

    @property
    def is_extended(self) -> bool:
        """Return whether blind windows have moved it."""
        return len(self.spans) > 1

    def excused(self, now: datetime) -> tuple[Span, ...]:
        """Return when heartbeats were due that did not come by `now` and may have been swallowed."""
        return self.spans[:-1] if self.spans[0].end <= now else ()


def due(
    timing: Timing,
    *,
    counted_from: datetime | None,
    started_at: datetime | None,
    windows: BlindWindows = NO_WINDOWS,
) -> Due | None:
    """Return until when a heartbeat must come, None when silence is no outage.

    Silence counts from `counted_from`; None when no heartbeat is awaited. A run that began at
    `started_at` must also finish within the grace period, when there is one.
    """
    silence = run = None
    if counted_from is not None:
        silence = _extended(timing, _due_span(timing, counted_from), Reason.MISSED, windows)
    if started_at is not None and timing.grace_period > 0:
        span = Span(started_at, started_at + timing.grace)
        run = _extended(timing, span, Reason.UNFINISHED, windows)
    if silence is None or run is None:
        return silence or run
    return run if run.at <= silence.at else silence


def _due_span(timing: Timing, counted_from: datetime) -> Span:
    """Return when the heartbeat may be on its way: from when on it may come early, to its deadline."""
    expected = timing.schedule.next_after(counted_from)
    start = expected
    # A job that is started by a clock has nothing to report before its time.
    if isinstance(timing.schedule, IntervalSchedule):
        start = max(counted_from, expected - _lead(timing.schedule, timing.grace))
    return Span(start, expected + timing.grace)


def _lead(schedule: IntervalSchedule, grace: timedelta) -> timedelta:
    return max(grace, schedule.length / 10, SHORTEST_LEAD)


def _extended(timing: Timing, span: Span, reason: Reason, windows: BlindWindows) -> Due:
    spans = [span]
    while (following := _next_span(timing, spans[-1], windows)) is not None:
        if len(spans) > MOST_EXTENSIONS:
            reason = Reason.UNVERIFIED
            break
        spans.append(following)
    return Due(reason=reason, spans=tuple(spans))


def _next_span(timing: Timing, span: Span, windows: BlindWindows) -> Span | None:
    """Return when the next heartbeat is due, if that of `span` may have been lost; else None."""
    schedule, grace = timing.schedule, timing.grace
    if not isinstance(schedule, IntervalSchedule):
        blind = windows.all.within(span.start, span.end)
        if blind is None:
            return None
        # That run is unknown, and so is every other that began before the window was over.
        expected = schedule.next_after(max(span.start, blind.end))
        return Span(expected, expected + grace)
    blind = windows.silent.within(span.start, span.end)
    if blind is None or blind.end + schedule.length + grace <= span.end:
        return None
    # The heartbeat may have been lost at any moment of the window, so that the one after it may come
    # at any moment from an interval after the window's beginning on.
    earliest = max(span.start, blind.start) + schedule.length - _lead(schedule, grace)
    return Span(max(span.start, earliest), blind.end + schedule.length + grace)

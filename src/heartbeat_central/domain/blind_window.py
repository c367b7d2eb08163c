"""Spans in which this service could not have received heartbeats.

Silence in such a span is no evidence: `domain.due` grants the applications it concerns more time.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from heartbeat_central.domain.moment import aware


class Cause(StrEnum):
    """Why nothing could be received."""

    STOPPED = "stopped"
    """No process of this service ran."""
    STALLED = "stalled"
    """It ran and stood still, or could not store what came."""
    SUSPENDED = "suspended"
    """The machine slept."""
    CLOCK_SET_FORWARD = "set_forward"
    """The wall clock left out this span."""
    CLOCK_SET_BACK = "set_back"
    """The wall clock shows this span a second time."""

    @property
    def moved_clock(self) -> bool:
        """Return whether what waits for a time of the wall clock now waits longer or less long."""
        return self in (Cause.SUSPENDED, Cause.CLOCK_SET_FORWARD, Cause.CLOCK_SET_BACK)


@dataclass(frozen=True, slots=True, kw_only=True)
class BlindWindow:
    """One span, both ends included."""

    started_at: datetime
    """When it is last known that something could be received."""
    ended_at: datetime
    """When it is known again."""
    cause: Cause
    id: int | None = None
    """Under which it is stored."""

    def __post_init__(self) -> None:
        if aware(self.ended_at) < aware(self.started_at):
            raise ValueError("a blind window can't end before it starts")

    @property
    def length(self) -> timedelta:
        """Return how long it lasted on the wall clock."""
        return self.ended_at - self.started_at

    def overlaps(self, start: datetime, end: datetime) -> bool:
        """Return whether it has a moment in common with the span, both ends included."""
        return self.started_at <= end and self.ended_at >= start


@dataclass(frozen=True, slots=True)
class Span:
    """Two moments and what is between them."""

    start: datetime
    end: datetime


class Spans:
    """Spans merged where they overlap, so that a question takes a binary search."""

    def __init__(self, spans: Iterable[Span]) -> None:
        starts: list[datetime] = []
        ends: list[datetime] = []
        for span in sorted(spans, key=lambda one: one.start):
            if ends and span.start <= ends[-1]:
                ends[-1] = max(ends[-1], span.end)
            else:
                starts.append(span.start)
                ends.append(span.end)
        self._starts, self._ends = starts, ends

    def within(self, start: datetime, end: datetime) -> Span | None:
        """Return from the earliest start to the latest end of all spans that overlap; None: none does."""
        first = bisect_left(self._ends, start)
        behind = bisect_right(self._starts, end)
        if first >= behind:
            return None
        return Span(self._starts[first], self._ends[behind - 1])


class BlindWindows:
    """The windows that are known, ready to be asked about an application."""

    def __init__(self, windows: Iterable[BlindWindow] = ()) -> None:
        self._windows = tuple(windows)
        self.all = Spans(Span(one.started_at, one.ended_at) for one in self._windows)
        """For schedules that name a time of day: what a clock shows twice is uncertain as well."""
        self.silent = Spans(
            Span(one.started_at, one.ended_at)
            for one in self._windows
            if one.cause is not Cause.CLOCK_SET_BACK
        )
        """For intervals: they count from the last heartbeat, and that is moved with the clock."""

    def overlapping(self, spans: Sequence[Span]) -> list[BlindWindow]:
        """Return the windows that overlap any of the spans."""
        return [
            one
            for one in self._windows
            if any(one.overlaps(span.start, span.end) for span in spans)
        ]

    def last_in(self, span: Span) -> BlindWindow | None:
        """Return the window that overlaps a span and ends last, None when none does."""
        return max(self.overlapping([span]), key=lambda one: one.ended_at, default=None)


NO_WINDOWS = BlindWindows()

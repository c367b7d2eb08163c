"""From self-beats to blind windows: since when, and until when, this service could receive.

Every process that takes heartbeats sends one to itself, every second, by the way that all of them go. One
that is committed proves that heartbeats could be received when it set out. Where such proof is missing, no
process has it, and it can't be put down to the pace of self-beats alone, there is a blind window.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from heartbeat_central.domain.blind_window import BlindWindow, Cause
from heartbeat_central.domain.moment import aware, aware_or_none

LONGEST_PAUSE = timedelta(seconds=3)
"""Between two self-beats. A busy second is no window: what came meanwhile waits in the socket."""
LARGEST_STEP = timedelta(seconds=1)
"""Of the wall clock. NTP steps it by more than 0.128 s only, and slews what is less."""
LARGEST_SKEW = timedelta(seconds=10)
"""Between the clocks of several nodes. A proof later than that from now was timed by another clock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """The three clocks at one moment."""

    at: datetime
    """The wall clock: what people and schedules mean."""
    monotonic: timedelta
    """Runs evenly while the machine runs."""
    boottime: timedelta
    """Runs evenly, also while the machine sleeps."""

    def __post_init__(self) -> None:
        aware(self.at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Undecided:
    """Another process may be alive, or may have been killed just now: its next self-beat tells."""

    since: datetime
    """When the first self-beat of this process set out."""
    newest: datetime
    """The newest proof at that time. A later one means that another process is alive."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfBeat:
    """One self-beat, which is being committed."""

    node: UUID
    """The process that sent it."""
    now: Reading
    """When it set out."""
    before: Reading | None = None
    """The last one of this process that is proven; None when there is none yet."""
    longest_pause: timedelta = timedelta(0)
    """How long the process stood still since, in one piece."""
    failed_at: datetime | None = None
    """When a heartbeat was first refused since, if any was."""
    waited: Undecided | None = None
    """What the former self-beat came to, while there is no proof yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """What is stored of a process that takes heartbeats."""

    id: UUID
    seen_at: datetime
    """Its last proof."""
    stopped_at: datetime | None = None
    """When it ended in good order; None also when it was killed."""

    def __post_init__(self) -> None:
        aware(self.seen_at)
        aware_or_none(self.stopped_at)


@dataclass(frozen=True, slots=True)
class Proven:
    """The service could receive at the time of the self-beat."""

    window: BlindWindow | None = None
    """Which ends with it."""


def judge(beat: SelfBeat, nodes: Sequence[Node], *, alone: bool) -> Proven | Undecided:
    """Return what the self-beat proves, given the processes that have beaten on this database.

    `alone`: no other process can be alive, as with SQLite.
    """
    newest = max((node.seen_at for node in nodes), default=None)
    if newest is None:
        return Proven()
    set_back = _set_back(beat, newest)
    if set_back is not None:
        return Proven(set_back)
    if beat.before is None:
        return _first(beat, nodes, newest, alone=alone)
    others = max((node.seen_at for node in nodes if node.id != beat.node), default=None)
    cause = _cause(beat, beat.before, others)
    return Proven(None if cause is None else _window(newest, beat.now.at, cause))


def _set_back(beat: SelfBeat, newest: datetime) -> BlindWindow | None:
    now = beat.now
    if beat.before is not None:
        would_be = beat.before.at + (now.boottime - beat.before.boottime)
        if would_be - now.at > LARGEST_STEP:
            return _window(now.at, would_be, Cause.CLOCK_SET_BACK)
    elif newest - now.at > LARGEST_SKEW:
        return _window(now.at, newest, Cause.CLOCK_SET_BACK)
    return None


def _first(
    beat: SelfBeat, nodes: Sequence[Node], newest: datetime, *, alone: bool
) -> Proven | Undecided:
    waited = beat.waited or Undecided(since=beat.now.at, newest=newest)
    if newest > waited.newest:
        return Proven()
    may_live = any(
        node.stopped_at is None and beat.now.at - node.seen_at <= LONGEST_PAUSE for node in nodes
    )
    if may_live and not alone:
        return waited
    return Proven(_window(newest, waited.since, Cause.STOPPED))


def _cause(beat: SelfBeat, before: Reading, others: datetime | None) -> Cause | None:
    now = beat.now
    wall = now.at - before.at
    boottime = now.boottime - before.boottime
    # However many nodes there are: this one would judge by a clock that has left out a span.
    if wall - boottime > LARGEST_STEP:
        return Cause.CLOCK_SET_FORWARD
    if beat.failed_at is not None and (others is None or others < beat.failed_at):
        return Cause.STALLED
    if beat.longest_pause > LONGEST_PAUSE and (others is None or now.at - others > LONGEST_PAUSE):
        slept = boottime - (now.monotonic - before.monotonic)
        return Cause.SUSPENDED if slept > LARGEST_STEP else Cause.STALLED
    return None


def _window(start: datetime, end: datetime, cause: Cause) -> BlindWindow:
    return BlindWindow(started_at=min(start, end), ended_at=end, cause=cause)

"""The state machine: what a signal and what the passing of time do to one application.

Pure: services load a State, ask `on_signal` or `on_clock`, and save the Decision that comes back.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from heartbeat_central.domain.blind_window import NO_WINDOWS, BlindWindow, BlindWindows, Span
from heartbeat_central.domain.due import Due, due
from heartbeat_central.domain.errors import Unforeseeable
from heartbeat_central.domain.incident import Reason
from heartbeat_central.domain.moment import aware, aware_or_none
from heartbeat_central.domain.reception import LARGEST_SKEW
from heartbeat_central.domain.schedule import LOOK_AGAIN, Timing
from heartbeat_central.domain.signal import Signal, SignalKind

LONGEST_RUN = timedelta(hours=72)
"""A start older than this is not paired with a finish any more."""


class Status(StrEnum):
    """What is stored."""

    NEW = "new"
    """Nothing came since it was created or resumed."""
    UP = "up"
    DOWN = "down"
    PAUSED = "paused"


class Shown(StrEnum):
    """What people see: the stored status, or one of two that follow from the time."""

    NEW = "new"
    UP = "up"
    LATE = "late"
    """Expected, and still within its grace period."""
    RUNNING = "running"
    """Started, and not finished yet."""
    DOWN = "down"
    PAUSED = "paused"


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """The part of an application that heartbeats change."""

    status: Status
    armed_at: datetime
    """Created, resumed or rescheduled then: silence counts from here until a heartbeat comes."""
    last_heartbeat_at: datetime | None = None
    """The last success or failure; only ever moves forward."""
    started_at: datetime | None = None
    """The start of the run that has not finished."""
    started_rid: UUID | None = None
    check_at: datetime | None = None
    """When the detector must look; never later than the deadline, None when silence is no outage."""
    extended_at: datetime | None = None
    """The detector looked then, and blind windows had moved the deadline. A heartbeat that was received
    before, and is stored only now, may bring it nearer again."""
    problem: str | None = None
    """Why what is stored can't be read; the rest is a stand-in then, and must not be stored."""

    def __post_init__(self) -> None:
        aware(self.armed_at)
        aware_or_none(self.last_heartbeat_at)
        aware_or_none(self.started_at)
        aware_or_none(self.check_at)
        aware_or_none(self.extended_at)


@dataclass(frozen=True, slots=True)
class WentDown:
    """An incident opens."""

    at: datetime
    reason: Reason
    exit_status: int | None = None


@dataclass(frozen=True, slots=True)
class Recovered:
    """The open incident closes, and people hear of it."""

    at: datetime


@dataclass(frozen=True, slots=True)
class Stopped:
    """The open incident closes without a word: a person paused the application."""

    at: datetime


Transition = WentDown | Recovered | Stopped


@dataclass(frozen=True, slots=True)
class Decision:
    """What to save."""

    state: State
    transition: Transition | None = None
    duration: timedelta | None = None
    """How long the run took that this signal finished."""
    excused: tuple[Span, ...] = ()
    """When heartbeats were due that did not come, and that blind windows may have swallowed."""
    problem: str | None = None
    """Why it could not be judged: then only `state.check_at` is to be saved, and this told."""


def born(timing: Timing, *, now: datetime) -> State:
    """Return the state of an application created at `now`."""
    return _rearmed(timing, State(status=Status.NEW, armed_at=now))


def next_expected(timing: Timing, state: State) -> datetime | None:
    """Return when the next heartbeat is due, None when none is awaited.

    A down application still shows when it should have called.
    """
    if state.status is Status.PAUSED or _awaits_nothing(timing, state):
        return None
    if timing.problem or state.problem:
        return None
    try:
        return timing.schedule.next_after(_counted_from(state))
    except Unforeseeable:
        return None


def deadline(timing: Timing, state: State, windows: BlindWindows = NO_WINDOWS) -> datetime | None:
    """Return the moment past which the application is down, None when silence is no outage.

    Blind windows in which its heartbeat may have been lost make it later.
    """
    if timing.problem or state.problem:
        return None
    try:
        awaited = _awaited(timing, state, windows)
    except Unforeseeable:
        return None
    return None if awaited is None else awaited.at


def shown(timing: Timing, state: State, *, now: datetime) -> Shown:
    """Return the status to show at `now`."""
    if state.status in (Status.DOWN, Status.PAUSED):
        return Shown(state.status)
    if state.started_at is not None:
        return Shown.RUNNING
    expected = next_expected(timing, state)
    if expected is not None and expected <= now:
        return Shown.LATE
    return Shown(state.status)


def is_steady(state: State) -> bool:
    """Return whether a success moves the last heartbeat and changes nothing else.

    So it is with nearly every heartbeat there is. `storage.touches` stores those without reading the
    state first; its statements hold only where this is true, and for what was received at `extended_at`
    or since.
    """
    return state.status is Status.UP and state.started_at is None and state.check_at is not None


def on_signal(timing: Timing, state: State, signal: Signal) -> Decision:
    """Return what `signal` does. A paused application stores it and changes in nothing.

    Nor does one whose state can't be read. Under a schedule that can't be, all is as always but for
    the deadline, which the detector finds missing.
    """
    if state.status is Status.PAUSED or signal.kind is SignalKind.LOG or state.problem is not None:
        return Decision(state)
    if signal.kind is SignalKind.START:
        return Decision(_started(timing, state, signal))
    finished, duration = _finished(state, signal)
    if signal.kind is SignalKind.FAIL:
        return _failed(finished, signal, duration)
    return _succeeded(timing, finished, signal, duration)


def on_clock(
    timing: Timing, state: State, *, now: datetime, windows: BlindWindows = NO_WINDOWS
) -> Decision:
    """Return what the passing of time does: down when the deadline has passed, else look again later.

    `windows` holds every blind window up to `now` that overlaps the span since `silent_since`.
    What can't be judged is told as `problem`.
    """
    problem = timing.problem or state.problem
    if problem is not None:
        return unjudged(state, problem, now=now)
    if state.status in (Status.DOWN, Status.PAUSED):
        return Decision(replace(state, check_at=None))
    state = _no_later_than(now, state)
    try:
        awaited = _awaited(timing, state, windows)
    except Unforeseeable as error:
        return unjudged(state, str(error), now=now)
    if awaited is None:
        return Decision(replace(state, check_at=None))
    if now < awaited.at:
        extended_at = now if awaited.is_extended else None
        waiting = replace(state, check_at=awaited.at, extended_at=extended_at)
        return Decision(waiting, excused=awaited.excused(now))
    # The run that never finished is over; the next start begins afresh.
    gone = replace(state, status=Status.DOWN, check_at=None, started_at=None, started_rid=None)
    return Decision(gone, WentDown(awaited.at, awaited.reason))


def unjudged(state: State, problem: str, *, now: datetime) -> Decision:
    """Return what to save of an application that can't be judged: to be looked at again later."""
    return Decision(replace(state, check_at=now + LOOK_AGAIN), problem=problem)


def mended(state: State, *, is_down: bool, now: datetime) -> State:
    """Return a state that can be judged in place of one that can't be read.

    `is_down`: an incident is open. Otherwise silence counts from `now`.
    """
    if state.problem is None:
        return state
    return State(status=Status.DOWN if is_down else Status.NEW, armed_at=now)


def on_pause(state: State, *, now: datetime) -> Decision:
    """Return the paused state; an open incident closes without an alert."""
    paused = replace(state, status=Status.PAUSED, check_at=None, started_at=None, started_rid=None)
    return Decision(paused, Stopped(now) if state.status is Status.DOWN else None)


def on_resume(timing: Timing, state: State, *, now: datetime) -> Decision:
    """Return the state that waits for a heartbeat again, counting from `now`. Not paused: unchanged."""
    if state.status is not Status.PAUSED:
        return Decision(state)
    return Decision(_rearmed(timing, replace(state, status=Status.NEW, armed_at=now)))


def on_new_timing(
    timing: Timing, state: State, *, now: datetime, windows: BlindWindows = NO_WINDOWS
) -> Decision:
    """Return the state under changed timing.

    An edit alone never makes an application overdue: when the new deadline would have passed
    already, silence counts from the edit. `windows` as for `on_clock`.
    """
    if state.status in (Status.DOWN, Status.PAUSED):
        return Decision(state)
    due = deadline(timing, state, windows)
    if due is not None and due <= now:
        state = replace(state, armed_at=now, started_at=None, started_rid=None)
    return Decision(_rearmed(timing, state))


def _rearmed(timing: Timing, state: State) -> State:
    return replace(state, check_at=due_at(timing, state), extended_at=None)


def due_at(timing: Timing, state: State, windows: BlindWindows = NO_WINDOWS) -> datetime | None:
    """Return when the detector must look at the latest, None when silence is no outage."""
    try:
        awaited = _awaited(timing, state, windows)
    except Unforeseeable:
        # The detector says so; nothing else needs to be waited for.
        return _counted_from(state)
    return None if awaited is None else awaited.at


def silent_since(state: State) -> datetime:
    """Return from when on blind windows matter to the application."""
    since = _counted_from(state)
    return since if state.started_at is None else min(since, state.started_at)


def may_have_lost(timing: Timing, state: State, windows: BlindWindows) -> list[BlindWindow]:
    """Return in which of these windows a heartbeat of the application may have been lost."""
    if timing.problem or state.problem:
        return []
    try:
        awaited = _awaited(timing, state, windows)
    except Unforeseeable:
        return []
    return [] if awaited is None else windows.overlapping(awaited.spans)


def _awaited(timing: Timing, state: State, windows: BlindWindows) -> Due | None:
    if state.status is Status.PAUSED:
        return None
    return due(
        timing,
        counted_from=None if _awaits_nothing(timing, state) else _counted_from(state),
        started_at=state.started_at,
        windows=windows,
    )


def _no_later_than(now: datetime, state: State) -> State:
    """Return the state with nothing in it from a time that is still to come.

    A clock that has been set back since wrote such times. Silence counts from now on then: else a dead
    application would be noticed only when the clock shows those times again.
    """
    limit = now + LARGEST_SKEW
    last, started = state.last_heartbeat_at, state.started_at
    return replace(
        state,
        armed_at=now if state.armed_at > limit else state.armed_at,
        last_heartbeat_at=now if last is not None and last > limit else last,
        started_at=now if started is not None and started > limit else started,
    )


def _awaits_nothing(timing: Timing, state: State) -> bool:
    return state.status is Status.NEW and not timing.expect_first_heartbeat


def _counted_from(state: State) -> datetime:
    if state.last_heartbeat_at is None:
        return state.armed_at
    return max(state.last_heartbeat_at, state.armed_at)


def _started(timing: Timing, state: State, signal: Signal) -> State:
    state = replace(state, started_at=signal.received_at, started_rid=signal.rid)
    if state.status is Status.DOWN:
        return state
    return replace(state, check_at=_earlier(state.check_at, due_at(timing, state)))


def _finished(state: State, signal: Signal) -> tuple[State, timedelta | None]:
    """Return the state without its run when `signal` ends it, and how long the run took."""
    if state.started_at is None:
        return state, None
    over = replace(state, started_at=None, started_rid=None)
    if state.started_rid == signal.rid:
        took = signal.received_at - state.started_at
        return over, took if timedelta(0) <= took <= LONGEST_RUN else None
    # Another run's finish: a failure ends the wait in any case, a success only when it names no run.
    if signal.kind is SignalKind.FAIL or signal.rid is None:
        return over, None
    return state, None


def _failed(state: State, signal: Signal, duration: timedelta | None) -> Decision:
    went_down = None
    if state.status is not Status.DOWN:
        went_down = WentDown(signal.received_at, Reason.FAILED, signal.exit_status)
    state = replace(
        state, status=Status.DOWN, last_heartbeat_at=_latest(state, signal), check_at=None
    )
    return Decision(state, went_down, duration)


def _succeeded(
    timing: Timing, state: State, signal: Signal, duration: timedelta | None
) -> Decision:
    recovered = Recovered(signal.received_at) if state.status is Status.DOWN else None
    state = replace(state, status=Status.UP, last_heartbeat_at=_latest(state, signal))
    # A success moves the deadline later, so a check that is armed may stay where it is: the
    # detector moves it on when it passes. Heartbeats then touch no index (DESIGN: lazy re-arm).
    if state.check_at is None:
        state = _rearmed(timing, state)
    elif state.extended_at is not None:
        # Later than by the clock alone, but not always later than blind windows had made it.
        state = replace(state, check_at=_earlier(state.check_at, due_at(timing, state)))
    return Decision(state, recovered, duration)


def _latest(state: State, signal: Signal) -> datetime:
    if state.last_heartbeat_at is None:
        return signal.received_at
    return max(state.last_heartbeat_at, signal.received_at)


def _earlier(armed: datetime | None, due: datetime | None) -> datetime | None:
    if armed is None or due is None:
        return armed or due
    return min(armed, due)

"""Applications that the detector would not look at in time, because of what is stored of them. Pure.

It looks when `check_at` passes. Nothing of ours ever stores a later time than the deadline, or none where
a heartbeat is awaited; somebody who writes into the database may.
"""

from datetime import datetime

from heartbeat_central.domain.blind_window import NO_WINDOWS, BlindWindows
from heartbeat_central.domain.schedule import LOOK_AGAIN, Timing
from heartbeat_central.domain.state import State, Status, due_at


def is_overlooked(
    timing: Timing,
    state: State,
    *,
    problem: str | None,
    now: datetime,
    windows: BlindWindows = NO_WINDOWS,
) -> bool:
    """Return whether the detector must look at the application now, for it would not look in time.

    `problem` is why it can't be judged, as it is known; `windows` as for `state.on_clock`.
    """
    unreadable = timing.problem or state.problem
    if unreadable is None and state.status in (Status.DOWN, Status.PAUSED):
        return False
    if (unreadable is None) is not (problem is None):
        return True
    latest = due_at(timing, state, windows) if unreadable is None else now + LOOK_AGAIN
    if latest is None:
        return False
    return state.check_at is None or state.check_at > max(latest, now)

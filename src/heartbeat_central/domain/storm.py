"""Storms: many applications of a project go down together, and one digest tells of them.

Pure: what counts as a storm, and when its digests go out. `storm_digest` says what they tell.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

from heartbeat_central.domain.alert import AlertKind

SPAN = timedelta(seconds=60)
"""Outages that begin so close together count as one event; a storm ends when none began for as long."""
MANY = 10
"""So many make a storm, however many applications there are."""
ONE_IN = 5
"""Of a project with at least OF_AT_LEAST watched applications, one in so many makes a storm."""
OF_AT_LEAST = 20
FEWEST = OF_AT_LEAST // ONE_IN
"""Fewer are never a storm, so that nothing else need be counted."""
ENOUGH = MANY * ONE_IN
"""With so many watched applications or more, MANY alone decides."""
HEARD_OF = 2
"""Outages that a channel must hear of before its alerts are held: one is told as it always is."""

GATHERING = {AlertKind.DOWN: timedelta(seconds=1), AlertKind.UP: timedelta(seconds=2)}
"""How long what comes first waits for the rest."""
PAUSES = (timedelta(seconds=10), timedelta(seconds=30), SPAN)
"""At least between two digests, after the first, after the second, and after every later one."""
PATIENCE = timedelta(minutes=2)
"""How long a digest waits for a node that can itself reach out; then it goes out and says so."""
DOUBT = timedelta(seconds=5)
"""Between two attempts at that."""
FALLBACK = timedelta(minutes=5)
"""Behind the digest's time; an alert that no digest has taken up by then goes out as it is."""


def is_storm(*, went_down: int, watched: int) -> bool:
    """Return whether `went_down` applications within SPAN of each other are a storm.

    `watched` counts the project's applications that are not paused; it need not count past ENOUGH.
    """
    if went_down >= MANY:
        return True
    return watched >= OF_AT_LEAST and went_down * ONE_IN >= watched


def densest(openings: Iterable[datetime]) -> datetime:
    """Return the end of the span, SPAN long, in which most of these outages began; the latest of several.

    They mostly begin within a second of each other; what was noticed late may lie further apart.
    """
    moments = sorted(openings)
    best, most, first = moments[-1], 0, 0
    for last, moment in enumerate(moments):
        while moments[first] <= moment - SPAN:
            first += 1
        if last - first + 1 >= most:
            best, most = moment, last - first + 1
    return best


def digest_at(
    kind: AlertKind, *, last_digest_at: datetime | None, digests: int, now: datetime
) -> datetime:
    """Return when an alert that is held from `now` on will be told, when none is held already.

    `digests` counts those that went out so far without a pause of more than SPAN: the longer it goes
    on, the rarer they get.
    """
    gathered = now + GATHERING[kind]
    if last_digest_at is None or digests == 0:
        return gathered
    return max(gathered, last_digest_at + PAUSES[min(digests, len(PAUSES)) - 1])


def digests_so_far(*, last_digest_at: datetime | None, digests: int, now: datetime) -> int:
    """Return how many digests went out lately; 0 when it has been quiet for longer than SPAN."""
    quiet = last_digest_at is None or now - last_digest_at > SPAN
    return 0 if quiet else digests

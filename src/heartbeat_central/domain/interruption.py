"""What a digest says after a blind window: which applications' heartbeats it may have swallowed."""

from collections.abc import Sequence

from heartbeat_central.domain.alert import clock, span
from heartbeat_central.domain.blind_window import BlindWindow, Cause
from heartbeat_central.domain.digest import MOST_ENTRIES, Digest, DigestEntry, DigestTopic

_CAUSES = {
    Cause.STOPPED: "it was not running",
    Cause.STALLED: "it stood still, or could not store what came",
    Cause.SUSPENDED: "its machine slept",
    Cause.CLOCK_SET_FORWARD: "its clock was set forward",
    Cause.CLOCK_SET_BACK: "its clock was set back and shows that time twice",
}


def digests(window: BlindWindow, entries: Sequence[DigestEntry]) -> list[Digest]:
    """Return what to tell of a blind window; several digests only when one can't hold the list.

    `entries` are the applications whose heartbeat may have been lost in it and which have not been heard
    from since; those that are down by now with their incident. Raises ValueError when there are none.
    """
    if not entries:
        raise ValueError("a digest without applications tells nothing")
    count = len(entries)
    who = "1 application" if count == 1 else f"{count} applications"
    started, ended = clock(window.started_at), clock(window.ended_at)
    sentence = (
        f"Heartbeat Central could not receive heartbeats from {started} to {ended}"
        f" ({span(window.length)}): {_CAUSES[window.cause]}."
        f" {who[0].upper()}{who[1:]} should have called about that time and"
        f" {'has' if count == 1 else 'have'} not been heard from since."
        " Whoever misses the next deadline too is told as down then."
    )
    ordered = sorted(entries, key=lambda entry: (entry.incident is None, entry.application.name))
    return [
        Digest(
            topic=DigestTopic.BLIND_WINDOW,
            title=f"UNCERTAIN: {who} not heard from since an interruption",
            sentence=sentence,
            entries=tuple(ordered[start : start + MOST_ENTRIES]),
        )
        for start in range(0, count, MOST_ENTRIES)
    ]

"""Checks of the work itself: heartbeats come in, the silent are noticed, alerts go out."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from heartbeat_central.cli.checks.check import Check, CheckId, State

if TYPE_CHECKING:
    from heartbeat_central.services.examine import Findings

MOST_NAMED = 3
"""Bad applications or channels that are named; the pages list them all."""


def checks(found: "Findings", *, now: datetime, is_running: bool) -> Iterator[Check]:
    """Yield what the findings mean. While no service runs here, work that is left is only a note."""
    late = State.FAILED if is_running else State.NOTE
    yield _ingest(found, now, late)
    yield _detector(found, now, late)
    yield _outbox(found, now, late)
    yield _dead_letters(found)
    yield _blind_windows(found)
    yield named(
        CheckId.APPLICATIONS,
        found.unreadable,
        "All can be judged.",
        "can't be judged",
        "correct the schedule on its page; until then it is not watched",
    )


def named(check: CheckId, bad: Mapping[int, str], fine: str, broken: str, hint: str) -> Check:
    """Return the finding about a number of things, the first few of the bad ones by name."""
    if not bad:
        return Check(check, State.OK, fine)
    some = "; ".join(text for _, text in sorted(bad.items())[:MOST_NAMED])
    more = f"; and {len(bad) - MOST_NAMED} more" if len(bad) > MOST_NAMED else ""
    return Check(check, State.FAILED, f"{len(bad)} {broken} ({some}{more}).", hint)


def _ingest(found: "Findings", now: datetime, late: State) -> Check:
    from heartbeat_central.services.check_health import LONGEST_BLINDNESS

    if found.heard_until is None:
        return Check(CheckId.INGEST, State.NOTE, "No process has taken heartbeats yet.")
    if now - found.heard_until <= LONGEST_BLINDNESS:
        return Check(CheckId.INGEST, State.OK, "Heartbeats are being taken and stored.")
    return Check(
        CheckId.INGEST,
        late,
        f"No heartbeat could be taken since {_at(found.heard_until)}.",
        "start the service; if it is running, its log tells why nothing is stored",
    )


def _detector(found: "Findings", now: datetime, late: State) -> Check:
    from heartbeat_central.services.check_health import LONGEST_SILENCE

    due = found.next_check_at
    if due is None or now - due <= LONGEST_SILENCE:
        return Check(CheckId.DETECTOR, State.OK, "Nobody is overdue for a look.")
    return Check(
        CheckId.DETECTOR,
        late,
        f"An application should have been looked at {_span(now - due)} ago.",
        "start the service; if it is running, its log tells why the detector stands still",
    )


def _outbox(found: "Findings", now: datetime, late: State) -> Check:
    from heartbeat_central.services.check_health import LONGEST_WAIT

    due = found.oldest_due_at
    waiting = f"{found.waiting} {'alert waits' if found.waiting == 1 else 'alerts wait'}"
    if due is None:
        return Check(CheckId.OUTBOX, State.OK, "No alert waits to be sent.")
    if now - due <= LONGEST_WAIT:
        return Check(CheckId.OUTBOX, State.OK, f"{waiting} to be sent, none for long.")
    return Check(
        CheckId.OUTBOX,
        late,
        f"{waiting}, the first of them for {_span(now - due)}.",
        "start the service; if it is running, look for a channel whose receiver hangs",
    )


def _dead_letters(found: "Findings") -> Check:
    if found.dead == 0:
        return Check(CheckId.DEAD_LETTERS, State.OK, "Every alert has arrived, or is being tried.")
    what = "alert was" if found.dead == 1 else "alerts were"
    return Check(
        CheckId.DEAD_LETTERS,
        State.FAILED,
        f"{found.dead} {what} given up, by channels that have delivered nothing since.",
        "mend the channels, then try again on the page of undelivered alerts",
    )


def _blind_windows(found: "Findings") -> Check:
    if not found.windows:
        return Check(
            CheckId.BLIND_WINDOWS, State.OK, "Heartbeats could be received all day and night."
        )
    longest = max(window.length for window in found.windows)
    times = "once" if len(found.windows) == 1 else f"{len(found.windows)} times"
    return Check(
        CheckId.BLIND_WINDOWS,
        State.NOTE,
        f"In the last 24 hours none could be received {times}, for {_span(longest)} at the longest.",
        "docs/explanation/reliability.md tells what that means",
    )


def _at(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def _span(length: timedelta) -> str:
    return str(timedelta(seconds=round(length.total_seconds())))

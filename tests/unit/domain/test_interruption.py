"""The words of the digest after a blind window."""

from datetime import timedelta

import pytest

from heartbeat_central.domain.blind_window import BlindWindow, Cause
from heartbeat_central.domain.digest import MOST_ENTRIES, DigestEntry, ListedApplication
from heartbeat_central.domain.incident import Incident, Reason
from heartbeat_central.domain.interruption import digests
from tests.support.sample_alerts import NOON, application


def window(cause: Cause = Cause.STOPPED) -> BlindWindow:
    return BlindWindow(started_at=NOON, ended_at=NOON + timedelta(minutes=5), cause=cause)


def entry(name: str, *, down: bool = False) -> DigestEntry:
    incident = Incident(id=1, application_id=7, reason=Reason.MISSED, opened_at=NOON)
    return DigestEntry(
        application=ListedApplication.of(application(name)), incident=incident if down else None
    )


def test_says_when_and_why_and_what_follows() -> None:
    [digest] = digests(window(), [entry("backup")])
    assert digest.title == "UNCERTAIN: 1 application not heard from since an interruption"
    assert digest.sentence == (
        "Heartbeat Central could not receive heartbeats from 2026-11-23 12:00:00 UTC to"
        " 2026-11-23 12:05:00 UTC (5 min): it was not running. 1 application should have called"
        " about that time and has not been heard from since. Whoever misses the next deadline too is"
        " told as down then."
    )


@pytest.mark.parametrize("cause", Cause)
def test_every_cause_has_its_words(cause: Cause) -> None:
    [digest] = digests(window(cause), [entry("a"), entry("b")])
    assert "2 applications should have called about that time and have not" in digest.sentence


def test_outages_come_first_and_then_the_names_in_order() -> None:
    [digest] = digests(window(), [entry("b"), entry("a"), entry("z", down=True)])
    assert [one.name for one in digest.applications()] != []
    assert [one.application.name for one in digest.entries] == ["z", "a", "b"]


def test_none_is_dropped_when_one_digest_can_not_hold_them() -> None:
    several = digests(window(), [entry(f"app {n}") for n in range(MOST_ENTRIES + 1)])
    assert [len(one.entries) for one in several] == [MOST_ENTRIES, 1]
    assert f"{MOST_ENTRIES + 1} applications" in several[1].title


def test_without_applications_there_is_no_digest() -> None:
    with pytest.raises(ValueError, match="tells nothing"):
        digests(window(), [])

"""What is sent no more, and what a late alert says of it."""

from dataclasses import replace
from datetime import timedelta

import pytest

from heartbeat_central.domain.alert import Alert, AlertKind
from heartbeat_central.domain.digest import DigestTopic
from heartbeat_central.domain.incident import Incident
from heartbeat_central.domain.overtaken import (
    LATE,
    Situation,
    brought_up_to_date,
    needs_review,
    reviewed,
    why_overtaken,
)
from heartbeat_central.domain.state import Shown
from tests.support.sample_alerts import NOON, alert, digest

DOWN, UP, TEST = AlertKind.DOWN, AlertKind.UP, AlertKind.TEST


@pytest.mark.parametrize(
    ("kind", "situation", "why"),
    [
        (DOWN, Situation(), None),
        (UP, Situation(incident_is_open=False), None),
        (DOWN, Situation(incident_is_open=False), "the outage ended before this was sent"),
        (
            DOWN,
            Situation(incident_is_open=False, application_is_paused=True),
            "the application was paused before this was sent",
        ),
        (UP, Situation(incident_is_open=False, application_is_paused=True), None),
        (DOWN, Situation(application_exists=False), "the application was deleted"),
        (UP, Situation(application_exists=False), "the application was deleted"),
        (DOWN, Situation(channel_is_active=False), "the channel was switched off"),
        (TEST, Situation(channel_is_active=False), None),  # whoever asks for one wants it
    ],
)
def test_what_is_not_sent_any_more(kind: AlertKind, situation: Situation, why: str | None) -> None:
    found = why_overtaken(alert(kind=kind), situation)
    assert found == why or (found is not None and why is not None and found.startswith(why))


@pytest.mark.parametrize(
    ("kind", "situation", "minutes", "note"),
    [
        (DOWN, Situation(down_since=NOON), 1, ""),
        (DOWN, Situation(), 6, "This comes late, it was decided at 2026-11-23 12:00:00 UTC."),
        (
            UP,
            Situation(down_since=NOON + timedelta(minutes=2)),
            3,
            "It went down again at 2026-11-23 12:02:00 UTC.",
        ),
        (
            UP,
            Situation(down_since=NOON + timedelta(minutes=2)),
            6,
            "It went down again at 2026-11-23 12:02:00 UTC. "
            "This comes late, it was decided at 2026-11-23 12:00:00 UTC.",
        ),
        (TEST, Situation(), 6, ""),
    ],
)
def test_what_changed_since_is_said(
    kind: AlertKind, situation: Situation, minutes: int, note: str
) -> None:
    now = NOON + timedelta(minutes=minutes)
    assert brought_up_to_date(alert(kind=kind), situation, now=now).note == note


def test_five_minutes_are_not_late() -> None:
    assert brought_up_to_date(alert(), Situation(), now=NOON + LATE) == alert()


def outages(what: Alert) -> dict[int, Incident]:
    assert what.digest is not None
    return {incident.id: incident for incident in what.digest.incidents()}


class TestDigest:
    def test_lists_things_as_they_are_now(self) -> None:
        stored = digest(["Mail", "Shop", "Gone", "Gone with its outage"])
        current = outages(stored)
        over = replace(current[3], closed_at=NOON + timedelta(minutes=1))
        current = {3: over, 4: current[4], 5: current[5]}
        found = reviewed(stored, current, {7: Shown.UP, 8: Shown.DOWN, 10: Shown.DOWN})
        assert found is not None
        assert found.digest is not None
        assert [
            (entry.application.name, entry.application.status, entry.incident)
            for entry in found.digest.entries
        ] == [("Mail", Shown.UP, over), ("Shop", Shown.DOWN, current[4])]

    def test_is_not_sent_when_no_outage_lasts(self) -> None:
        stored = digest(["Mail"])
        over = replace(outages(stored)[3], closed_at=NOON + timedelta(minutes=1))
        assert reviewed(stored, {3: over}, {7: Shown.UP}) is None
        assert reviewed(stored, {}, {}) is None

    @pytest.mark.parametrize(
        ("what", "expected"),
        [
            (digest(["Mail"]), True),
            (digest(["Mail"], closed=True), False),
            (digest(["Mail"], DigestTopic.BLIND_WINDOW), False),
            (digest(["Mail"], DigestTopic.DEAD_LETTER), False),
            (alert(), False),
        ],
    )
    def test_only_outages_that_may_be_over_are_looked_up(self, what: Alert, expected: bool) -> None:
        assert needs_review(what) is expected

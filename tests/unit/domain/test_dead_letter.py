"""What the other channels are told when one could not deliver."""

from dataclasses import replace
from datetime import timedelta

import pytest

from heartbeat_central.domain.alert import Alert, AlertKind, summary
from heartbeat_central.domain.dead_letter import DeadLetter, has_fallback, incidents_of, notice
from heartbeat_central.domain.digest import MOST_ENTRIES, DigestTopic, ListedApplication
from heartbeat_central.domain.incident import Incident, Reason
from heartbeat_central.domain.state import Shown
from tests.support.sample_alerts import NOON, alert, application, digest

BROKEN = "https://hooks.example answered HTTP 404: no such hook"


def letter(what: Alert) -> DeadLetter:
    return DeadLetter(alert=what, reason=BROKEN)


def now(incident_id: int, application_id: int = 7) -> tuple[ListedApplication, Incident]:
    """Return an outage that is over by now."""
    listed = replace(ListedApplication.of(application()), id=application_id, status=Shown.UP)
    return listed, Incident(
        id=incident_id,
        application_id=application_id,
        reason=Reason.MISSED,
        opened_at=NOON,
        closed_at=NOON + timedelta(hours=1),
    )


def test_one_alert_is_told_with_the_channel_and_the_reason() -> None:
    told = notice("Ops", [letter(alert())], {3: now(3)})
    assert told.topic is DigestTopic.DEAD_LETTER
    assert told.title == "NOT DELIVERED through Ops: DOWN: Nightly backup"
    assert told.sentence == (
        f"The channel Ops could not deliver this alert: {summary(alert())} "
        "The reason: https://hooks.example answered HTTP 404: no such hook."
    )
    (entry,) = told.entries
    assert entry.application.status is Shown.UP, "as it is now"
    assert entry.incident is not None
    assert entry.incident.closed_at is not None


def test_many_are_told_together_and_each_outage_once() -> None:
    storm = digest([f"app {number}" for number in range(4)])
    blind = digest(["Mail"], DigestTopic.BLIND_WINDOW)
    letters = [letter(storm), letter(alert()), letter(blind)]
    current = {id_: now(id_, id_ + 4) for id_ in (3, 4, 5)}
    told = notice("Ops", letters, current)
    assert told.title == "NOT DELIVERED through Ops: 3 alerts"
    assert "could not deliver 3 alerts. The reason, the last time: https://" in told.sentence
    outages = [entry.incident.id if entry.incident else None for entry in told.entries]
    assert outages == [None, 3, 4, 5], "what was deleted is left out"


def test_a_list_that_is_too_long_keeps_the_newest() -> None:
    storm = digest(["app"] * (MOST_ENTRIES + 1))
    current = {id_: now(id_) for id_ in incidents_of(storm)}
    told = notice("Ops", [letter(storm)], current)
    assert len(told.entries) == MOST_ENTRIES
    assert f"Of {MOST_ENTRIES + 1} outages the list holds the newest." in told.sentence


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        (alert(), True),
        (alert(kind=AlertKind.UP), True),
        (digest(["Mail"]), True),
        (digest(["Mail"], DigestTopic.BLIND_WINDOW), True),
        (alert(kind=AlertKind.TEST), False),
        (digest(["Mail"], DigestTopic.DEAD_LETTER), False),
    ],
)
def test_tests_and_what_tells_of_dead_letters_have_no_fallback(what: Alert, expected: bool) -> None:
    assert has_fallback(what) is expected


def test_a_test_tells_of_no_outage() -> None:
    assert incidents_of(alert(kind=AlertKind.TEST)) == []

"""The words of an alert, and its snapshot."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from heartbeat_central.domain import alert as alerts
from heartbeat_central.domain import moment
from heartbeat_central.domain import state as machine
from heartbeat_central.domain.alert import Alert, AlertKind, Fact, Tone
from heartbeat_central.domain.application import Application, settings_from
from heartbeat_central.domain.digest import Digest, DigestEntry, DigestTopic, ListedApplication
from heartbeat_central.domain.incident import Incident, Reason
from heartbeat_central.domain.state import Shown
from heartbeat_central.domain.view import ApplicationView, application_view

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def view(**settings: Any) -> ApplicationView:
    application = Application(
        id=7,
        uuid=UUID("0b1f5f3e-8c1d-4c6e-9a52-3f1f0a7f5d11"),
        project_id=1,
        settings=settings_from(
            **{"name": "Nightly\nbackup", "expected_interval": 60, "schedule": None, **settings}
        ),
        created_at=NOON,
        updated_at=NOON,
    )
    state = machine.born(application.settings.timing, now=NOON)
    return application_view(application, state, now=NOON, base_url="http://localhost:5000")


def incident(
    reason: Reason = Reason.MISSED, *, exit_status: int | None = None, closed: bool = False
) -> Incident:
    return Incident(
        id=3,
        application_id=7,
        reason=reason,
        exit_status=exit_status,
        opened_at=NOON,
        closed_at=NOON + timedelta(minutes=4, seconds=5) if closed else None,
        last_heartbeat_at=NOON - timedelta(minutes=5),
    )


def about(kind: AlertKind, outage: Incident | None, **settings: Any) -> Alert:
    return Alert(
        kind=kind,
        application=view(**settings),
        incident=outage,
        dashboard_url="http://localhost:5000/applications/7",
        created_at=NOON + timedelta(minutes=5),
    )


def test_an_outage_says_what_why_since_when_and_where_to_look() -> None:
    alert = about(AlertKind.DOWN, incident(), tags=["db", "night"])
    assert alerts.subject(alert) == "DOWN: Nightly backup"
    assert alerts.text(alert).splitlines() == [
        "Nightly backup is down: it missed its heartbeat.",
        "Down since: 2026-11-23 12:00:00 UTC",
        "Last heartbeat: 2026-11-23 11:55:00 UTC",
        "Tags: db, night",
        "Details: http://localhost:5000/applications/7",
    ]


def test_a_recovery_says_how_long_it_was_down() -> None:
    alert = about(AlertKind.UP, incident(closed=True))
    assert alerts.text(alert).splitlines() == [
        "Nightly backup is up again after 4 min 5 s.",
        "Down since: 2026-11-23 12:00:00 UTC",
        "Up since: 2026-11-23 12:04:05 UTC",
        "Reason: missed its heartbeat",
        "Last heartbeat before the outage: 2026-11-23 11:55:00 UTC",
        "Details: http://localhost:5000/applications/7",
    ]


def test_what_never_sent_anything_missed_no_heartbeat() -> None:
    text = alerts.text(about(AlertKind.DOWN, replace(incident(), last_heartbeat_at=None)))
    assert "is down: it never sent a heartbeat." in text
    assert "Last heartbeat: never" in text


@pytest.mark.parametrize("kind", [AlertKind.DOWN, AlertKind.UP])
@pytest.mark.parametrize("reason", Reason)
def test_says_the_cause_once(kind: AlertKind, reason: Reason) -> None:
    outage = incident(reason, closed=kind is AlertKind.UP)
    assert alerts.text(about(kind, outage)).count(alerts.cause(outage)) == 1


@pytest.mark.parametrize(
    ("outage", "cause"),
    [
        (incident(Reason.FAILED, exit_status=3), "failed with exit status 3"),
        (incident(Reason.FAILED), "reported a failure"),
        (incident(Reason.UNFINISHED), "started and did not finish in time"),
    ],
)
def test_says_why(outage: Incident, cause: str) -> None:
    assert alerts.cause(outage) == cause


def test_a_test_says_that_it_is_one() -> None:
    alert = Alert(kind=AlertKind.TEST, dashboard_url="http://localhost:5000", created_at=NOON)
    assert alerts.subject(alert).startswith("TEST")
    assert "This is a test" in alerts.text(alert)
    assert Alert.from_json(alert.as_json()) == alert


def test_without_an_incident_says_the_status() -> None:
    assert alerts.summary(about(AlertKind.UP, None)) == "Nightly backup is new."


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (-5, "0 s"),
        (7, "7 s"),
        (245, "4 min 5 s"),
        (3600, "1 h"),
        (90_061, "1 d 1 h"),
    ],
)
def test_spans_read_well(seconds: int, words: str) -> None:
    assert alerts.span(timedelta(seconds=seconds)) == words


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {
            "expected_interval": None,
            "schedule": {"kind": "cron", "expression": "@daily", "timezone": "UTC"},
        },
    ],
)
def test_a_stored_alert_comes_back_the_same(settings: dict[str, Any]) -> None:
    alert = about(AlertKind.DOWN, incident(), **settings)
    assert Alert.from_json(alert.as_json()) == alert


def test_times_are_written_with_zone_and_microseconds() -> None:
    assert moment.isoformat(NOON) == "2026-11-23T12:00:00.000000+00:00"
    assert moment.isoformat(None) is None
    assert moment.parse("2026-11-23T13:00:00+01:00") == NOON


def listed(**settings: Any) -> ListedApplication:
    return ListedApplication.of(view(**settings))


NOT_WATCHED = DigestEntry(
    application=replace(listed(), problem="'Mars' is no\nIANA time zone", name="Cleanup")
)


def digest(*entries: DigestEntry, topic: DigestTopic = DigestTopic.STORM) -> Alert:
    return Alert(
        kind=AlertKind.DIGEST,
        digest=Digest(
            topic=topic,
            title="DOWN: 2\napplications",
            sentence="2 applications went down.",
            entries=entries,
        ),
        dashboard_url="http://localhost:5000/",
        created_at=NOON + timedelta(minutes=5),
    )


def test_a_digest_lists_its_applications_and_how_they_are() -> None:
    up, down = replace(listed(), status=Shown.UP), replace(listed(), status=Shown.DOWN)
    alert = digest(
        DigestEntry(application=down, incident=incident()),
        DigestEntry(application=up, incident=incident(closed=True)),
        DigestEntry(application=down, incident=incident(closed=True)),
        DigestEntry(application=replace(up, status=Shown.PAUSED), incident=incident(closed=True)),
        DigestEntry(application=up),
        NOT_WATCHED,
    )
    assert alerts.subject(alert) == "DOWN: 2 applications"
    since = "since 2026-11-23 12:00:00 UTC"
    assert alerts.text(alert).splitlines() == [
        "2 applications went down.",
        f"Nightly backup: down {since}, missed its heartbeat",
        f"Nightly backup: up again after 4 min 5 s, down {since}, missed its heartbeat",
        f"Nightly backup: was down for 4 min 5 s {since}, and is down again",
        f"Nightly backup: was down for 4 min 5 s {since}, and is paused now",
        "Nightly backup: last heartbeat never",
        "Cleanup: last heartbeat never, 'Mars' is no IANA time zone",
        "Details: http://localhost:5000/",
    ]
    assert alert.digest is not None
    assert [one.name for one in alert.digest.applications()] == ["Cleanup"]
    assert len(alert.digest.incidents()) == 4
    assert Alert.from_json(alert.as_json()) == alert


def test_only_a_digest_has_a_list() -> None:
    assert alerts.rows(about(AlertKind.DOWN, incident())) == []


@pytest.mark.parametrize(
    ("alert", "tone"),
    [
        (about(AlertKind.DOWN, incident()), Tone.ALARM),
        (about(AlertKind.UP, incident(closed=True)), Tone.ALL_CLEAR),
        (about(AlertKind.TEST, None), Tone.NEUTRAL),
        (digest(DigestEntry(application=listed(), incident=incident())), Tone.ALARM),
        (digest(DigestEntry(application=listed(), incident=incident(closed=True))), Tone.ALL_CLEAR),
        (digest(DigestEntry(application=listed()), topic=DigestTopic.BLIND_WINDOW), Tone.NEUTRAL),
        (digest(DigestEntry(application=listed()), topic=DigestTopic.DEAD_LETTER), Tone.ALARM),
        (digest(NOT_WATCHED, topic=DigestTopic.NOT_WATCHED), Tone.ALARM),
        (
            digest(DigestEntry(application=listed()), topic=DigestTopic.NOT_WATCHED),
            Tone.ALL_CLEAR,
        ),
    ],
)
def test_the_tone_says_how_bad_it_is(alert: Alert, tone: Tone) -> None:
    assert alerts.tone(alert) is tone


def test_a_late_alert_says_what_has_changed_since() -> None:
    alert = replace(about(AlertKind.UP, incident(closed=True)), note="It is down\nagain.")
    assert alerts.facts(alert)[-2] == Fact("Note", "It is down again.")


def test_a_node_of_the_version_before_reads_a_digest_whose_topic_it_does_not_know() -> None:
    stored = digest(NOT_WATCHED, topic=DigestTopic.NOT_WATCHED).as_json()["digest"]
    assert stored["topic"] == "blind_window"
    assert Digest.from_json(stored).topic is DigestTopic.NOT_WATCHED
    # And what that stored is read here.
    del stored["exact_topic"]
    del stored["entries"][0]["application"]["problem"]
    assert Digest.from_json(stored).topic is DigestTopic.BLIND_WINDOW


def test_an_alert_from_before_there_were_digests_can_be_read() -> None:
    alert = about(AlertKind.DOWN, incident())
    stored = alert.as_json()
    del stored["digest"]
    assert Alert.from_json(stored) == alert

"""Rows that can't be read, whoever wrote them: each is told and set aside, and all others go on."""

import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from sqlalchemy import text

from heartbeat_central.domain.errors import Invalid
from heartbeat_central.domain.incident import Incident
from heartbeat_central.domain.schedule import LOOK_AGAIN
from heartbeat_central.domain.signal import SignalKind
from heartbeat_central.domain.state import Shown
from heartbeat_central.domain.view import ApplicationView
from heartbeat_central.services.back_up import back_up
from heartbeat_central.services.count_all import count_all
from heartbeat_central.services.default_project import default_project_id
from heartbeat_central.services.list_applications import count_by_status, list_applications
from heartbeat_central.services.manage_applications import (
    change_application,
    delete_application,
    pause_application,
)
from heartbeat_central.services.manage_channels import list_channels
from heartbeat_central.services.read_history import deliveries_page, heartbeats_page
from heartbeat_central.services.record_signals import Outcome
from heartbeat_central.services.tell_blind_windows import tell_blind_windows
from heartbeat_central.services.tell_dead_letters import tell_dead_letters
from heartbeat_central.storage import incidents, states
from heartbeat_central.storage.engine import Connection
from heartbeat_central.storage.incidents import NewIncident
from heartbeat_central.storage.outbox import DeliveryStatus
from heartbeat_central.storage.secrets import SecretBox
from tests.support.backups import backup_of, empty_database, restore
from tests.support.receivers.http import HttpReceiver
from tests.support.world import BASE_URL, World, at, signal

NO_INTERVAL = "expected_interval = NULL"
CRON = "schedule_kind = 'cron', schedule_timezone = 'UTC', schedule_expression"

BAD_SETTINGS = {
    "cron": (f"{NO_INTERVAL}, {CRON} = 'every full moon'", "no cron expression"),
    "never": (f"{NO_INTERVAL}, {CRON} = '0 0 31 2 *'", "no cron expression that ever fires"),
    "zone": (
        f"{NO_INTERVAL}, schedule_kind = 'cron', schedule_expression = '@daily',"
        " schedule_timezone = 'Mars/Olympus'",
        "no IANA time zone",
    ),
    "oncalendar": (
        f"{NO_INTERVAL}, schedule_kind = 'oncalendar', schedule_expression = 'x',"
        " schedule_timezone = 'UTC'",
        "no OnCalendar expression",
    ),
    "kind": (
        f"{NO_INTERVAL}, schedule_kind = 'lunar', schedule_expression = 'x',"
        " schedule_timezone = 'UTC'",
        "'lunar' is unknown",
    ),
    "nothing": (NO_INTERVAL, "neither is stored"),
    "interval": ("expected_interval = 2147483647", "must be between 1 and"),
    "zero": ("expected_interval = 0", "must be between 1 and"),
    "grace": ("grace_period = 2147483647", "grace_period: must be 0 to"),
}
BAD_STATES = {
    "status": ({"": "status = 'odd'"}, "'odd' is unknown"),
    "end of time": (
        {
            "sqlite": "last_heartbeat_at = 9000000000000000000",
            "postgresql": "last_heartbeat_at = 'infinity'",
        },
        "last_heartbeat_at: can't be read",
    ),
    "far future": (
        {
            "sqlite": "armed_at = 253402300000000000",
            "postgresql": "armed_at = '9999-12-31 00:00:00+00'",
        },
        "is no time of a heartbeat",
    ),
    "no time": (
        {"sqlite": "started_at = 'yesterday'", "postgresql": "started_at = 'infinity'"},
        "started_at: can't be read",
    ),
}
ALL_BAD = pytest.mark.parametrize("name", [*BAD_SETTINGS, *BAD_STATES])
SOME_BAD = pytest.mark.parametrize("name", ["zone", "nothing", "grace", "status", "end of time"])


def spoil(world: World, application: ApplicationView, name: str) -> str:
    """Write what can't be read into the application's row; return what the problem must say."""
    if name in BAD_SETTINGS:
        values, problem = BAD_SETTINGS[name]
        run(world, f"UPDATE applications SET {values} WHERE id = {application.id}")
        return problem
    by_dialect, problem = BAD_STATES[name]
    values = by_dialect.get("", "") or by_dialect[world.database.dialect]
    run(
        world,
        f"UPDATE application_states SET {values} WHERE application_id = {application.id}",
    )
    return problem


def run(world: World, statement: str) -> None:
    with world.database.write() as connection:
        connection.execute(text(statement))


def shown(world: World, seconds: float) -> dict[str, ApplicationView]:
    views = list_applications(world.database, world.project_id, now=at(seconds), base_url=BASE_URL)
    return {view.name: view for view in views}


def repair(world: World, application: ApplicationView, seconds: float) -> ApplicationView:
    return change_application(
        world.database,
        world.project_id,
        application.id,
        {"expected_interval": 60, "schedule": None, "grace_period": 10},
        now=at(seconds),
        base_url=BASE_URL,
    )


@pytest.fixture
def receiver() -> Iterator[HttpReceiver]:
    with HttpReceiver() as listening:
        yield listening


@ALL_BAD
def test_a_bad_row_is_told_and_the_others_are_judged_in_the_same_look(
    world: World, name: str
) -> None:
    _, bad, _ = (world.application(one) for one in ("first", "bad", "last"))
    problem = spoil(world, bad, name)
    swept = world.detect(71)
    assert swept.deadlines == [at(70), at(70)]
    views = shown(world, 71)
    assert (views["first"].status, views["last"].status) == (Shown.DOWN, Shown.DOWN)
    assert problem in (views["bad"].problem or "")
    assert (views["first"].problem, views["last"].problem) == (None, None)
    assert views["bad"].next_expected is views["bad"].deadline is None
    # It is not looked at again and again.
    assert swept.next_check_at == at(71) + LOOK_AGAIN
    assert world.look(bad, 72).problem == views["bad"].problem
    figures = {one.name: one.values for one in count_all(world.database, now=at(72))}
    assert figures["heartbeat_central_unreadable_applications"] == {"": 1}
    assert sum(count_by_status(world.database, world.project_id, now=at(72)).values()) == 3


@SOME_BAD
def test_its_heartbeats_are_kept_and_those_of_its_batch_are_too(world: World, name: str) -> None:
    good, bad = world.application("good"), world.application("bad")
    world.record([signal(good.uuid, 1), signal(bad.uuid, 1)])
    spoil(world, bad, name)
    kinds = [SignalKind.SUCCESS, SignalKind.START, SignalKind.LOG, SignalKind.SUCCESS]
    for step, kind in enumerate(kinds):
        batch = [signal(bad.uuid, 2 + step, kind), signal(good.uuid, 2 + step, kind)]
        assert world.record(batch).outcomes == [Outcome.STORED, Outcome.STORED]
    for one in (good, bad):
        beats = heartbeats_page(world.database, world.project_id, one.id, limit=10)
        assert len(beats) == 5
    assert world.look(good, 6).last_heartbeat == at(5)


@SOME_BAD
def test_once_repaired_it_is_watched_at_once(world: World, name: str) -> None:
    bad = world.application("bad")
    spoil(world, bad, name)
    world.detect(71)
    repaired = repair(world, bad, 100)
    assert (repaired.problem, repaired.status) == (None, Shown.NEW)
    assert repaired.deadline == at(170)
    assert world.look(bad, 101).problem is None
    assert world.detect(171).deadlines == [at(170)]
    world.beat(bad, 180)
    assert world.look(bad, 181).status is Shown.UP


@SOME_BAD
def test_it_can_be_paused_and_deleted(world: World, name: str) -> None:
    bad = world.application("bad")
    spoil(world, bad, name)
    paused = pause_application(
        world.database, world.project_id, bad.id, now=at(5), base_url=BASE_URL
    )
    assert paused.status is Shown.PAUSED
    delete_application(world.database, world.project_id, bad.id, now=at(6))
    assert shown(world, 7) == {}


def test_other_changes_name_what_is_wrong_with_its_schedule(world: World) -> None:
    bad = world.application("bad")
    spoil(world, bad, "zone")
    with pytest.raises(Invalid, match="no IANA time zone"):
        change_application(
            world.database,
            world.project_id,
            bad.id,
            {"name": "Another name"},
            now=at(5),
            base_url=BASE_URL,
        )


def test_what_became_readable_by_itself_is_watched_again_within_the_hour(world: World) -> None:
    bad = world.application("bad")
    spoil(world, bad, "interval")
    world.detect(71)
    run(world, "UPDATE applications SET expected_interval = 7200")
    assert world.detect(71 + 3600).went_down == 0
    view = world.look(bad, 71 + 3600)
    assert (view.problem, view.deadline) == (None, at(7210))


def test_a_failure_is_told_under_a_schedule_that_cant_be_read(world: World) -> None:
    channel = world.webhook("http://127.0.0.1:9/")
    bad = world.application("bad", channels=[channel])
    spoil(world, bad, "zone")
    world.beat(bad, 5, SignalKind.FAIL)
    assert world.look(bad, 6).status is Shown.DOWN
    world.beat(bad, 7)
    assert world.look(bad, 8).status is Shown.UP
    kinds = [
        one.kind for one in deliveries_page(world.database, world.project_id, channel, limit=9)
    ]
    assert kinds == ["up", "down"]


def test_a_time_to_look_that_is_none_is_found_anew(world: World) -> None:
    world.application()
    beginning = {"sqlite": "-9000000000000000000", "postgresql": "'-infinity'"}
    run(world, f"UPDATE application_states SET check_at = {beginning[world.database.dialect]}")
    assert world.detect(30).next_check_at == at(70)
    assert world.detect(71).deadlines == [at(70)]


def test_an_open_outage_goes_on_when_its_status_is_repaired(world: World) -> None:
    bad = world.application("bad")
    assert world.detect(71).went_down == 1
    spoil(world, bad, "status")
    assert repair(world, bad, 80).status is Shown.DOWN
    world.beat(bad, 90)
    assert world.look(bad, 91).status is Shown.UP


def test_labels_that_break_the_rules_cost_no_judgement(world: World) -> None:
    channel = world.webhook("http://127.0.0.1:9/")
    world.application("bad", channels=[channel])
    run(world, "UPDATE applications SET tags = 'null', name = ''")
    assert world.detect(71).alerts_added == 1
    (view,) = shown(world, 72).values()
    assert (view.status, view.name, view.tags) == (Shown.DOWN, f"Application {view.id}", ())
    assert view.problem is not None


def test_whatever_else_fails_a_sweep_is_narrowed_down_to_the_one_it_comes_from(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [world.application(f"app {number}") for number in range(20)]
    real = incidents.open_many

    def broken(connection: Connection, new: Sequence[NewIncident]) -> list[Incident]:
        if made[13].id in {one.application_id for one in new}:
            raise ZeroDivisionError("of this test")
        return real(connection, new)

    monkeypatch.setattr(incidents, "open_many", broken)
    swept = world.detect(71)
    assert len(swept.deadlines) == 19
    assert "ZeroDivisionError" in (world.look(made[13], 72).problem or "")
    monkeypatch.undo()
    assert world.detect(71 + 3600).deadlines == [at(70)]
    assert world.look(made[13], 71 + 3600).problem is None


def test_heartbeats_leave_the_problem_alone(world: World) -> None:
    bad = world.application("bad")
    world.beat(bad, 1)
    spoil(world, bad, "zone")
    world.detect(71)
    for second in range(72, 80):
        world.beat(bad, second)
    assert world.look(bad, 81).problem
    with world.database.read() as connection:
        assert states.earliest_check(connection) == at(71) + LOOK_AGAIN


@pytest.mark.parametrize("name", ["zone", "status", "end of time"])
def test_digests_rollups_and_backups_go_on(world: World, name: str) -> None:
    channel = world.webhook("http://127.0.0.1:9/")
    bad = world.application("bad", channels=[channel])
    for number in range(12):
        one = world.application(f"app {number}", channels=[channel])
        world.beat(one, 5)
    world.beat(bad, 5)
    spoil(world, bad, name)
    # Twelve at once make a storm, of which the digest lists the one that failed under it.
    assert world.detect(76).went_down == 12
    world.beat(bad, 77, SignalKind.FAIL)
    world.digest(200)
    run(
        world,
        "INSERT INTO blind_windows (id, started_at, ended_at, cause, digest_due_at)"
        f" SELECT 1, last_heartbeat_at, last_heartbeat_at, 'stopped', last_heartbeat_at"
        f" FROM application_states WHERE application_id <> {bad.id} LIMIT 1",
    )
    tell_blind_windows(world.database, now=at(300), base_url=BASE_URL)
    world.roll_up(7200)
    backed_up = back_up(world.database, io.BytesIO(), now=at(7201), on_progress=lambda _a, _b: None)
    assert backed_up.rows["applications"] == backed_up.rows["application_states"] == 13


@pytest.mark.parametrize("name", ["end of time", "no time", "zone"])
def test_what_cant_be_read_is_a_problem_after_a_restore_as_before(
    world: World, name: str, tmp_path: Path
) -> None:
    good, bad = world.application("good"), world.application("bad")
    world.beat(good, 5)
    spoil(world, bad, name)
    content = backup_of(world.database)
    with empty_database("sqlite", tmp_path) as restored:
        restore(restored, content, world.secret_box)
        project_id = default_project_id(restored, now=at(10))
        found = list_applications(restored, project_id, now=at(10), base_url=BASE_URL)
    views = {view.name: view for view in found}
    assert views["bad"].problem is not None
    assert (views["good"].problem, views["good"].last_heartbeat) == (None, at(5))


def test_an_outage_for_a_reason_that_is_unknown_ends_like_any_other(world: World) -> None:
    application = world.application(channels=[world.webhook("http://127.0.0.1:9/")])
    world.detect(71)
    run(world, "UPDATE incidents SET reason = 'whim'")
    assert world.beat(application, 80) is Outcome.STORED
    assert world.look(application, 81).status is Shown.UP


def test_channels_that_cant_be_opened_die_alone(world: World, receiver: HttpReceiver) -> None:
    lost, gone, garbled, good = (
        world.webhook(receiver.url, name) for name in ("lost", "gone", "garbled", "good")
    )
    sealed = SecretBox(["another key"]).seal({"url": receiver.url})
    run(world, f"UPDATE channels SET config = '{sealed}' WHERE id = {lost}")
    run(world, f"UPDATE channels SET type = 'pigeon' WHERE id = {gone}")
    run(world, f"UPDATE channels SET config = 'schön' WHERE id = {garbled}")
    world.application(channels=[lost, gone, garbled, good])
    assert world.detect(71).alerts_added == 4
    outcomes = {one.channel_id: world.send(one, 72) for one in world.claim(72)}
    assert outcomes.pop(good) is DeliveryStatus.DELIVERED
    assert set(outcomes.values()) == {DeliveryStatus.DEAD}
    assert len(receiver.requests) == 1
    assert tell_dead_letters(world.database, now=at(73), base_url=BASE_URL) > 0
    views = list_channels(
        world.database,
        world.project_id,
        registry=world.registry,
        secret_box=world.secret_box,
    )
    assert [view.name for view in views if view.last_error is None] == ["good"]


def test_an_alert_that_cant_be_read_dies_alone(world: World, receiver: HttpReceiver) -> None:
    channel = world.webhook(receiver.url)
    for number in range(3):
        world.application(f"app {number}", channels=[channel])
    world.detect(71)
    run(world, "UPDATE alerts SET snapshot = '{}' WHERE id = (SELECT min(id) FROM alerts)")
    # A claim takes few of a channel at once: the first finds the bad one alone.
    sent = [world.send(one, 72) for _ in range(5) for one in world.claim(72)]
    assert sent == [DeliveryStatus.DELIVERED] * 2
    found = deliveries_page(world.database, world.project_id, channel, limit=9)
    (dead,) = [one for one in found if one.status is DeliveryStatus.DEAD]
    assert "can't be read" in (dead.last_error or "")
    assert world.claim(73) == []

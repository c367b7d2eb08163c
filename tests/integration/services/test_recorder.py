"""The recorder remembers who is steady, and never answers otherwise than the rules would."""

from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from heartbeat_central.domain.blind_window import BlindWindow, Cause
from heartbeat_central.domain.signal import Signal, SignalKind
from heartbeat_central.domain.view import ApplicationView
from heartbeat_central.services import recorder as recording
from heartbeat_central.services.manage_applications import (
    delete_application,
    pause_application,
    resume_application,
)
from heartbeat_central.services.record_signals import Outcome, record_signals
from heartbeat_central.services.recorder import Recorder
from heartbeat_central.storage import blind_windows, heartbeats, incidents
from heartbeat_central.storage.touch_stores import open_touch_store
from tests.support.world import BASE_URL, World, at, signal

DAY = 86_400


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> list[Signal]:
    """All signals that were judged under a lock, rather than stored at once."""
    seen: list[Signal] = []

    def record(database: object, signals: Sequence[Signal], **more: object) -> object:
        seen.extend(signals)
        return record_signals(database, signals, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(recording, "record_signals", record)
    return seen


def blind(world: World, start: float, end: float) -> None:
    window = BlindWindow(started_at=at(start), ended_at=at(end), cause=Cause.STOPPED)
    with world.database.write() as connection:
        blind_windows.add(connection, window)


def pause(world: World, application: ApplicationView, seconds: float) -> None:
    pause_application(
        world.database, world.project_id, application.id, now=at(seconds), base_url=BASE_URL
    )


def resume(world: World, application: ApplicationView, seconds: float) -> None:
    resume_application(
        world.database, world.project_id, application.id, now=at(seconds), base_url=BASE_URL
    )


def test_only_the_first_heartbeat_of_an_application_is_judged(
    world: World, judged: list[Signal]
) -> None:
    application = world.application()
    for second in range(5):
        assert world.beat(application, second) is Outcome.STORED
    assert [one.received_at for one in judged] == [at(0)]
    assert world.look(application, 5).last_heartbeat == at(4)


def test_a_process_that_starts_judges_nobody_who_is_steady(
    world: World, judged: list[Signal]
) -> None:
    application = world.application()
    world.beat(application, 1)
    judged.clear()
    touches = open_touch_store(world.database)
    started = Recorder(world.database, touches, base_url=BASE_URL)
    assert started.record([signal(application.uuid, 2)], now=at(2)).outcomes == [Outcome.STORED]
    assert judged == []
    touches.close()


def test_processes_that_share_an_application_cost_each_other_nothing(
    world: World, judged: list[Signal]
) -> None:
    touches = open_touch_store(world.database)
    other = Recorder(world.database, touches, base_url=BASE_URL)
    application = world.application()
    world.beat(application, 1)
    judged.clear()
    for second in range(2, 10, 2):
        world.beat(application, second)
        other.record([signal(application.uuid, second + 1)], now=at(second + 1))
    assert judged == []
    assert world.look(application, 10).last_heartbeat == at(9)
    touches.close()


def test_sees_what_others_change(world: World) -> None:
    application = world.application()
    world.beat(application, 1)
    pause(world, application, 2)
    assert world.beat(application, 3) is Outcome.PAUSED
    assert world.beat(application, 4) is Outcome.PAUSED
    resume(world, application, 5)
    assert world.beat(application, 6) is Outcome.STORED
    assert world.look(application, 7).last_heartbeat == at(6)
    delete_application(world.database, world.project_id, application.id, now=at(8))
    assert world.beat(application, 9) is Outcome.UNKNOWN


def test_a_heartbeat_stored_late_by_another_process_brings_an_extended_deadline_nearer(
    world: World,
) -> None:
    application = world.application(interval=DAY, grace=0)
    world.beat(application, 0)
    blind(world, DAY - 10, DAY + 10)
    assert world.detect(DAY + 11).next_check_at == at(2 * DAY + 10)
    # It came to a process that was stopped, with the heartbeat in its hands, until now.
    recorded = world.record([signal(application.uuid, DAY - 11)], DAY + 12)
    assert recorded.wake, "the detector must not sleep until ten seconds past the second day"
    assert world.detect(2 * DAY - 11).deadlines == [at(2 * DAY - 11)]


def test_heartbeats_after_a_deadline_was_extended_are_as_cheap_as_ever(
    world: World, judged: list[Signal]
) -> None:
    application = world.application(interval=DAY, grace=0)
    world.beat(application, 0)
    blind(world, DAY - 10, DAY + 10)
    world.detect(DAY + 11)
    judged.clear()
    world.beat(application, DAY + 11)
    world.beat(application, DAY + 12)
    assert judged == []
    assert world.detect(2 * DAY + 10).next_check_at == at(2 * DAY + 12)


def test_a_heartbeat_after_the_detector_has_judged_closes_the_incident(world: World) -> None:
    application = world.application(interval=60, grace=10)
    world.beat(application, 1)
    world.beat(application, 2)
    assert world.detect(100).went_down == 1
    world.beat(application, 101)
    with world.database.read() as connection:
        (incident,) = incidents.page(connection, world.project_id, limit=10)
    assert incident.opened_at == at(72)
    assert incident.closed_at == at(101)


def test_what_follows_a_start_in_its_batch_finishes_it(world: World) -> None:
    application = world.application()
    world.beat(application, 1)
    uuid = application.uuid
    world.record([signal(uuid, 2), signal(uuid, 3, SignalKind.START), signal(uuid, 7)])
    with world.database.read() as connection:
        newest = heartbeats.page(connection, application.id, limit=1)[0]
    assert newest.duration is not None
    assert newest.duration.total_seconds() == 4


def test_forgets_rather_than_grow_without_bound(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording, "MOST_REMEMBERED", 3)
    applications = [world.application(f"app {number}") for number in range(5)]
    pause(world, applications[0], 1)
    for second in (2, 3, 4):
        outcomes = world.record([signal(one.uuid, second) for one in applications]).outcomes
        assert outcomes == [Outcome.PAUSED, *[Outcome.STORED] * 4]


@dataclass(frozen=True)
class Step:
    """Something that happens to one of three applications."""

    which: int
    what: str


STEPS = st.lists(
    st.builds(
        Step,
        st.integers(0, 2),
        st.sampled_from(
            ["success"] * 4
            + ["start", "fail", "log", "pause", "resume", "delete", "detect", "commit", "commit"]
        ),
    ),
    min_size=5,
    max_size=40,
)


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(STEPS)
def test_answers_and_stores_what_judging_each_signal_would(world: World, steps: list[Step]) -> None:
    def one_by_one(signals: Sequence[Signal], seconds: float) -> list[Outcome]:
        return [
            record_signals(world.database, [one], now=at(seconds), base_url=BASE_URL).outcomes[0]
            for one in signals
        ]

    def remembering(signals: Sequence[Signal], seconds: float) -> list[Outcome]:
        return list(world.recorder.record(signals, now=at(seconds)).outcomes)

    seen = [_play(world, steps, record) for record in (one_by_one, remembering)]
    assert seen[0] == seen[1]


def _play(world: World, steps: list[Step], record: object) -> object:
    """Play `steps`, with signals recorded at each `commit`; return all that can be seen of it."""
    assert callable(record)
    applications = [world.application(f"app {number}", interval=7, grace=2) for number in range(3)]
    gone: set[int] = set()
    outcomes: list[Outcome] = []
    batch: list[Signal] = []
    for second, step in enumerate([*steps, Step(0, "commit")], 1):
        one = applications[step.which]
        if step.what in ("success", "start", "fail", "log"):
            batch.append(signal(one.uuid, second, SignalKind[step.what.upper()]))
        elif step.what == "commit":
            outcomes += record(batch, second) if batch else []
            batch = []
        elif step.what == "detect":
            world.detect(second)
        elif step.which not in gone and step.what == "pause":
            pause(world, one, second)
        elif step.which not in gone and step.what == "resume":
            resume(world, one, second)
        elif step.which not in gone and step.what == "delete":
            delete_application(world.database, world.project_id, one.id, now=at(second))
            gone.add(step.which)
    return outcomes, [
        _all_of(world, one, len(steps) + 1)
        for number, one in enumerate(applications)
        if number not in gone
    ]


def _all_of(world: World, application: ApplicationView, seconds: float) -> object:
    view = world.look(application, seconds)
    with world.database.read() as connection:
        beats = heartbeats.page(connection, application.id, limit=1000)
        outages = incidents.page(
            connection, world.project_id, application_id=application.id, limit=1000
        )
    delete_application(world.database, world.project_id, application.id, now=at(seconds))
    return (
        (view.status, view.last_heartbeat, view.next_expected, view.deadline),
        [(beat.kind, beat.received_at, beat.duration) for beat in beats],
        [(one.reason, one.opened_at, one.closed_at) for one in outages],
    )

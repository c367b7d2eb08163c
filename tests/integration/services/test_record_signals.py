"""Recording: a batch becomes history, states, incidents and alerts, on both databases."""

from uuid import uuid4

from sqlalchemy import func, select

from heartbeat_central.domain.signal import SignalKind
from heartbeat_central.domain.state import Shown
from heartbeat_central.services.manage_applications import delete_application, pause_application
from heartbeat_central.services.record_signals import Outcome
from heartbeat_central.storage import heartbeats, tables
from tests.support.world import BASE_URL, World, at, signal


def stored(world: World) -> int:
    with world.database.read() as connection:
        return connection.execute(select(func.count()).select_from(tables.heartbeats)).scalar_one()


def history(world: World, application_id: int) -> list[heartbeats.Heartbeat]:
    with world.database.read() as connection:
        return heartbeats.page(connection, application_id, limit=100)


def test_stores_a_heartbeat_and_brings_the_application_up(world: World) -> None:
    application = world.application()
    assert world.beat(application, 5) is Outcome.STORED
    seen = world.look(application, 6)
    assert seen.status is Shown.UP
    assert seen.last_heartbeat == at(5)
    assert seen.next_expected == at(65)
    assert seen.deadline == at(75)
    assert [row.received_at for row in history(world, application.id)] == [at(5)]


def test_stores_every_signal_of_a_batch_in_order(world: World) -> None:
    backup, report = world.application("Backup"), world.application("Report")
    run = uuid4()
    recorded = world.record(
        [
            signal(backup.uuid, 1, SignalKind.START, rid=run),
            signal(report.uuid, 2),
            signal(uuid4(), 3),
            signal(backup.uuid, 4, SignalKind.SUCCESS, rid=run, body=b"\x00\xff done", body_size=7),
        ]
    )
    assert recorded.outcomes == [
        Outcome.STORED,
        Outcome.STORED,
        Outcome.UNKNOWN,
        Outcome.STORED,
    ]
    finish, start = history(world, backup.id)
    assert (start.kind, finish.kind) == (SignalKind.START, SignalKind.SUCCESS)
    assert finish.duration is not None
    assert finish.duration.total_seconds() == 3
    assert (finish.body, finish.body_size, finish.rid) == (b"\x00\xff done", 7, run)


def test_tells_of_each_change_within_one_batch_in_order(world: World) -> None:
    application = world.application(channels=[world.webhook("http://127.0.0.1:9/")])
    other = world.application("other", channels=application.channels)
    world.record(
        [
            signal(application.uuid, 1, SignalKind.FAIL),
            signal(other.uuid, 2, SignalKind.FAIL),
            signal(application.uuid, 3),
            signal(application.uuid, 4, SignalKind.FAIL, exit_status=7),
        ]
    )
    of_it = tables.alerts.c.application_id == application.id
    with world.database.read() as connection:
        told = connection.execute(
            select(tables.alerts).where(of_it).order_by(tables.alerts.c.id)
        ).all()
        outages = connection.execute(
            select(tables.incidents)
            .where(tables.incidents.c.application_id == application.id)
            .order_by(tables.incidents.c.id)
        ).all()
    assert [alert.kind for alert in told] == ["down", "up", "down"]
    assert [(one.opened_at, one.closed_at) for one in outages] == [(at(1), at(3)), (at(4), None)]
    first, second = (one.id for one in outages)
    assert [alert.incident_id for alert in told] == [first, first, second]
    assert told[2].snapshot["incident"]["exit_status"] == 7


def test_a_thousand_signals_fit_one_batch(world: World) -> None:
    applications = [world.application(f"app {number}") for number in range(20)]
    batch = [signal(applications[number % 20].uuid, number) for number in range(1000)]
    assert set(world.record(batch).outcomes) == {Outcome.STORED}
    assert stored(world) == 1000


def test_unknown_and_deleted_applications_look_the_same(world: World) -> None:
    application = world.application()
    delete_application(world.database, world.project_id, application.id, now=at(1))
    assert world.beat(application, 5) is Outcome.UNKNOWN
    assert world.record([signal(uuid4(), 5)]).outcomes == [Outcome.UNKNOWN]
    assert stored(world) == 0


def test_a_paused_application_stores_and_stays_paused(world: World) -> None:
    application = world.application()
    pause_application(
        world.database, world.project_id, application.id, now=at(1), base_url=BASE_URL
    )
    assert world.beat(application, 5) is Outcome.PAUSED
    assert world.look(application, 6).status is Shown.PAUSED
    assert stored(world) == 1


def test_a_failure_opens_an_incident_and_a_heartbeat_closes_it(world: World) -> None:
    channel = world.webhook("http://127.0.0.1:9/")
    application = world.application(channels=[channel])
    world.beat(application, 5)
    failed = world.record([signal(application.uuid, 10, SignalKind.FAIL, exit_status=3)])
    recovered = world.record([signal(application.uuid, 20)])
    assert failed.wake
    assert recovered.wake
    with world.database.read() as connection:
        incident = connection.execute(select(tables.incidents)).one()
        kinds = connection.execute(select(tables.alerts.c.kind).order_by(tables.alerts.c.id))
        assert list(kinds.scalars()) == ["down", "up"]
    assert (incident.reason, incident.exit_status) == ("failed", 3)
    assert (incident.opened_at, incident.closed_at) == (at(10), at(20))
    assert incident.last_heartbeat_at == at(5)


def test_down_and_up_in_one_batch_make_one_closed_incident(world: World) -> None:
    application = world.application()
    world.record([signal(application.uuid, 1, SignalKind.FAIL), signal(application.uuid, 2)])
    with world.database.read() as connection:
        assert connection.execute(select(tables.incidents.c.closed_at)).scalar_one() == at(2)


def test_an_ordinary_heartbeat_wakes_nobody(world: World) -> None:
    application = world.application()
    world.beat(application, 5)
    assert not world.record([signal(application.uuid, 6)]).wake


def test_a_start_that_makes_the_deadline_earlier_wakes_the_detector(world: World) -> None:
    application = world.application(interval=3600, grace=5)
    world.beat(application, 1)
    assert world.record([signal(application.uuid, 2, SignalKind.START)]).wake


def test_a_poisoned_signal_fails_alone(world: World) -> None:
    application = world.application()
    too_large_for_its_column = signal(application.uuid, 2, exit_status=1 << 70)
    recorded = world.record(
        [signal(application.uuid, 1), too_large_for_its_column, signal(application.uuid, 3)]
    )
    assert recorded.outcomes == [Outcome.STORED, Outcome.FAILED, Outcome.STORED]
    assert stored(world) == 2

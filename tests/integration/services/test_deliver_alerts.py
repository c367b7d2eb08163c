"""Telling: leases, outcomes, and what is not sent any more."""

from sqlalchemy import select

from heartbeat_central.domain.alert import AlertKind
from heartbeat_central.domain.signal import SignalKind
from heartbeat_central.services.deliver_alerts import LEASE, give_back, renew, take_back_all
from heartbeat_central.services.manage_applications import delete_application, pause_application
from heartbeat_central.storage import tables
from heartbeat_central.storage.outbox import DeliveryStatus
from tests.support.world import BASE_URL, World, at

NOBODY = "http://127.0.0.1:9/"
"""The discard port: nobody listens, connections are refused."""
LEASE_SECONDS = LEASE.total_seconds()


def deliveries(world: World) -> list[tuple[str, str | None]]:
    with world.database.read() as connection:
        rows = connection.execute(
            select(tables.deliveries.c.status, tables.deliveries.c.last_error).order_by(
                tables.deliveries.c.id
            )
        )
        return [(row.status, row.last_error) for row in rows]


def failing(world: World, seconds: float = 5) -> int:
    """An application that fails after START, with one channel that refuses connections."""
    application = world.application(channels=[world.webhook(NOBODY)])
    world.beat(application, seconds, SignalKind.FAIL, exit_status=1)
    return application.id


def test_a_leased_delivery_is_not_leased_again(world: World) -> None:
    failing(world)
    (first,) = world.claim(6)
    assert first.alert.kind is AlertKind.DOWN
    assert first.attempt == 1
    assert world.claim(6) == []
    assert world.claim(6 + LEASE_SECONDS - 1) == []


def test_a_lease_that_ran_out_is_taken_over_and_the_old_holder_is_fenced_off(
    world: World,
) -> None:
    failing(world)
    (stale,) = world.claim(6)
    (fresh,) = world.claim(7 + LEASE_SECONDS)
    assert (fresh.uuid, fresh.attempt) == (stale.uuid, 2)
    world.send(stale, 8 + LEASE_SECONDS)
    with world.database.read() as connection:
        row = connection.execute(select(tables.deliveries)).one()
        attempts = connection.execute(select(tables.delivery_attempts)).all()
    assert row.leased_until is not None, "the newer lease still stands"
    assert attempts == []


def test_a_refused_connection_is_tried_again_later(world: World) -> None:
    failing(world)
    (claimed,) = world.claim(6)
    assert world.send(claimed, 7) is DeliveryStatus.PENDING
    assert world.claim(7) == []
    (again,) = world.claim(7 + 3)
    assert (again.uuid, again.attempt) == (claimed.uuid, 2)


def test_a_recovery_takes_the_place_of_a_down_that_was_never_sent(world: World) -> None:
    application = world.application(channels=[world.webhook(NOBODY)])
    world.beat(application, 5, SignalKind.FAIL)
    world.beat(application, 6)
    claimed = world.claim(7)
    claimed += world.claim(7)
    assert [one.alert.kind for one in claimed] == [AlertKind.UP]
    assert claimed[0].alert.incident is not None
    assert claimed[0].alert.incident.opened_at == at(5)
    (down, _) = deliveries(world)
    assert down[0] == "cancelled"
    assert "the outage ended" in (down[1] or "")


def test_a_recovery_waits_while_its_down_is_under_way(world: World) -> None:
    application = world.application(channels=[world.webhook(NOBODY)])
    world.bulkheads.ended(application.channels[0], well=True)
    world.beat(application, 5, SignalKind.FAIL)
    (down,) = world.claim(6)
    world.beat(application, 7)
    assert world.claim(7) == []
    world.send(down, 8)
    assert [one.alert.kind for one in world.claim(12) + world.claim(12)] == [AlertKind.UP]


def test_nothing_is_told_of_a_deleted_application(world: World) -> None:
    application_id = failing(world)
    delete_application(world.database, world.project_id, application_id, now=at(6))
    assert world.claim(7) == []
    assert deliveries(world) == [("cancelled", "the application was deleted")]


def test_nothing_is_told_of_an_application_that_was_paused_meanwhile(world: World) -> None:
    application_id = failing(world)
    pause_application(
        world.database, world.project_id, application_id, now=at(6), base_url=BASE_URL
    )
    assert world.claim(7) == []
    assert deliveries(world)[0][0] == "cancelled"


def test_a_lease_that_was_renewed_runs_longer(world: World) -> None:
    failing(world)
    claimed = world.claim(6)
    renew(world.database, claimed, now=at(6 + LEASE_SECONDS / 2))
    assert world.claim(7 + LEASE_SECONDS) == []
    (again,) = world.claim(7 + 1.5 * LEASE_SECONDS)
    assert again.attempt == 2


def test_a_lease_that_has_passed_on_is_not_renewed_by_its_old_holder(world: World) -> None:
    failing(world)
    stale = world.claim(6)
    (fresh,) = world.claim(7 + LEASE_SECONDS)
    renew(world.database, stale, now=at(5 * LEASE_SECONDS))
    (again,) = world.claim(8 + 2 * LEASE_SECONDS)
    assert (again.uuid, again.attempt) == (fresh.uuid, 3)


def test_a_lease_outlasts_any_send(world: World) -> None:
    assert world.outbound.timeout < LEASE_SECONDS


def test_leases_of_a_process_that_is_gone_can_be_ended_all_at_once(world: World) -> None:
    failing(world)
    failing(world)
    (one, other) = world.claim(6)
    world.send(other, 7)
    assert take_back_all(world.database, now=at(7)) == 1, "what has been recorded holds no lease"
    (again,) = world.claim(7)
    assert (again.uuid, again.attempt) == (one.uuid, 2)


def test_what_was_given_back_is_due_at_once(world: World) -> None:
    failing(world)
    (claimed,) = world.claim(6)
    give_back(world.database, claimed, now=at(7))
    (again,) = world.claim(7)
    assert again.uuid == claimed.uuid


def test_a_channel_with_a_backlog_hides_nobody_else(world: World) -> None:
    busy, quiet = world.webhook(NOBODY), world.webhook(NOBODY + "quiet")
    for number in range(8):
        application = world.application(f"app {number}", channels=[busy])
        world.beat(application, 1, SignalKind.FAIL)
    application = world.application("the other", channels=[quiet])
    world.beat(application, 2, SignalKind.FAIL)
    assert sorted(one.channel_id for one in world.claim(3)) == [busy, quiet]

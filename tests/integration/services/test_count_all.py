"""The figures that the database knows."""

from heartbeat_central.domain.signal import SignalKind
from heartbeat_central.services.count_all import count_all
from heartbeat_central.services.manage_applications import pause_application
from tests.support.world import BASE_URL, World, at


def figures(world: World, seconds: float) -> dict[str, dict[str, float]]:
    return {
        one.name.removeprefix("heartbeat_central_"): dict(one.values)
        for one in count_all(world.database, now=at(seconds))
    }


def test_nothing_is_told_as_zero(world: World) -> None:
    assert figures(world, 0) == {
        "applications": {"new": 0, "up": 0, "down": 0, "paused": 0},
        "deliveries": {"pending": 0, "dead": 0},
        "open_incidents": {"": 0},
        "outbox_age_seconds": {"": 0},
        "outbox_lag_seconds": {"": 0},
        "unreadable_applications": {"": 0},
    }


def test_counts_what_there_is_and_how_long_it_has_waited(world: World) -> None:
    world.application("new")
    paused = world.application("paused")
    pause_application(world.database, world.project_id, paused.id, now=at(0), base_url=BASE_URL)
    for number in range(2):
        hook = world.webhook(f"http://127.0.0.1:9/{number}")
        application = world.application(f"down {number}", channels=[hook])
        world.beat(application, 10 * number, SignalKind.FAIL)
    found = figures(world, 60)
    assert found["applications"] == {"new": 1, "up": 0, "down": 2, "paused": 1}
    assert found["deliveries"] == {"pending": 2, "dead": 0}
    assert found["open_incidents"] == {"": 2}
    assert found["outbox_age_seconds"] == {"": 60}
    assert found["outbox_lag_seconds"] == {"": 60}

    # Under lease, or put off: old, yet nobody has to wait for a sender.
    world.claim(60)
    found = figures(world, 70)
    assert found["outbox_age_seconds"] == {"": 70}
    assert found["outbox_lag_seconds"] == {"": 0}

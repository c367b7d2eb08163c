"""After a blind window: one digest a channel, with those whose heartbeat may have been lost in it."""

import pytest
from sqlalchemy import select

from heartbeat_central.domain.alert import Alert, AlertKind, text
from heartbeat_central.domain.digest import DigestTopic
from heartbeat_central.domain.signal import SignalKind
from heartbeat_central.domain.view import ApplicationView
from heartbeat_central.services import tell_blind_windows as telling
from heartbeat_central.services.tell_blind_windows import tell_blind_windows
from heartbeat_central.storage import tables
from tests.support.process import Process
from tests.support.world import BASE_URL, World, at

NOWHERE = "http://127.0.0.1:9/"


def away(world: World, start: float, end: float) -> None:
    """Let a process end and another begin."""
    Process(world.database).beat(start)
    Process(world.database).beat(end)


def tell(world: World, seconds: float) -> int:
    return tell_blind_windows(world.database, now=at(seconds), base_url=BASE_URL)


def digests(world: World) -> dict[int, Alert]:
    """Return the digests by channel."""
    with world.database.read() as connection:
        rows = connection.execute(
            select(tables.deliveries.c.channel_id, tables.alerts.c.snapshot)
            .join(tables.alerts, tables.alerts.c.id == tables.deliveries.c.alert_id)
            .where(tables.alerts.c.kind == AlertKind.DIGEST.value)
        ).all()
    assert len(rows) == len({row.channel_id for row in rows}), "one for each channel"
    return {row.channel_id: Alert.from_json(row.snapshot) for row in rows}


def names(alert: Alert) -> list[str]:
    assert alert.digest is not None
    return [entry.application.name for entry in alert.digest.entries]


def hourly(world: World, name: str, channels: list[int]) -> ApplicationView:
    return world.application(name, interval=3600, grace=60, channels=channels)


def test_names_who_was_due_and_has_not_been_heard_from_since(world: World) -> None:
    ops, dev = world.webhook(NOWHERE, "ops"), world.webhook(NOWHERE, "dev")
    hourly(world, "silent", [ops, dev])
    hourly(world, "silent too", [ops])
    calls_again = hourly(world, "calls again", [ops, dev])
    hourly(world, "nobody cares", [])
    away(world, 3590, 3700)
    world.detect(3700)
    assert tell(world, 3701) == 0, "who calls again within a minute need not be named"
    world.beat(calls_again, 3705)
    world.detect(3765)
    assert tell(world, 3765) == 2
    assert {channel: names(alert) for channel, alert in digests(world).items()} == {
        ops: ["silent", "silent too"],
        dev: ["silent"],
    }
    assert tell(world, 3800) == 0, "told once"
    words = text(digests(world)[ops])
    assert "could not receive heartbeats from" in words
    assert "(1 min 50 s): it was not running." in words
    assert "2 applications should have called" in words


def test_when_all_have_called_again_there_is_nothing_to_tell(world: World) -> None:
    application = hourly(world, "healthy", [world.webhook(NOWHERE)])
    away(world, 3590, 3700)
    world.detect(3700)
    world.beat(application, 3720)
    assert tell(world, 3800) == 0
    assert digests(world) == {}


def test_a_restart_in_which_nothing_was_due_is_told_to_nobody(world: World) -> None:
    hourly(world, "due later", [world.webhook(NOWHERE)])
    away(world, 100, 105)
    world.detect(105)
    assert tell(world, 600) == 0


def test_a_deadline_that_is_excused_later_is_told_when_it_passes(world: World) -> None:
    channel = world.webhook(NOWHERE)
    hourly(world, "due at one", [channel])
    away(world, 100, 105)
    world.detect(3659)
    assert tell(world, 3659) == 0
    world.detect(3660)
    assert tell(world, 3660) == 1
    assert names(digests(world)[channel]) == ["due at one"]


def test_who_went_down_since_is_named_with_the_outage(world: World) -> None:
    channel = world.webhook(NOWHERE)
    quick = world.application("quick", interval=2, grace=1, channels=[channel])
    hourly(world, "slow", [channel])
    failed = hourly(world, "said itself that it failed", [channel])
    was_down = world.application("down before", interval=10, grace=0, channels=[channel])
    world.detect(10)
    world.beat(quick, 3598)
    away(world, 3599, 3700)
    world.detect(3700)
    world.beat(failed, 3701, SignalKind.FAIL)
    world.detect(3704)
    assert tell(world, 3765) == 1
    [alert] = digests(world).values()
    assert names(alert) == ["quick", "slow"]
    assert alert.digest is not None
    assert alert.digest.topic is DigestTopic.BLIND_WINDOW
    [outage] = alert.digest.incidents()
    assert outage.opened_at == at(3703)
    assert was_down.name not in names(alert)


def test_many_windows_in_one_span_make_one_digest(world: World) -> None:
    channel = world.webhook(NOWHERE)
    hourly(world, "silent", [channel])
    for start in range(0, 3600, 300):
        away(world, start, start + 5)
    world.detect(3660)
    assert tell(world, 3720) == 1
    assert names(digests(world)[channel]) == ["silent"]


def test_a_paused_application_is_not_named(world: World) -> None:
    from heartbeat_central.services.manage_applications import pause_application

    channel = world.webhook(NOWHERE)
    paused, other = hourly(world, "paused", [channel]), hourly(world, "other", [channel])
    away(world, 3590, 3700)
    world.detect(3700)
    pause_application(world.database, world.project_id, paused.id, now=at(3710), base_url=BASE_URL)
    assert tell(world, 3765) == 1
    assert names(digests(world)[channel]) == [other.name]


def test_looks_at_all_of_them_page_by_page(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telling, "PAGE", 2)
    channel = world.webhook(NOWHERE)
    for number in range(5):
        hourly(world, f"app {number}", [channel])
    away(world, 3590, 3700)
    world.detect(3700)
    assert tell(world, 3765) == 1
    assert len(names(digests(world)[channel])) == 5


def test_the_digest_is_sent(world: World) -> None:
    hourly(world, "silent", [world.webhook(NOWHERE)])
    away(world, 3590, 3700)
    world.detect(3700)
    tell(world, 3765)
    [claimed] = world.claim(3765)
    assert claimed.alert.kind is AlertKind.DIGEST

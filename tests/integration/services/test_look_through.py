"""What the detector would never come to by itself is found all the same."""

import pytest
from sqlalchemy import text

from heartbeat_central.domain.errors import NotFound
from heartbeat_central.domain.signal import SignalKind
from heartbeat_central.domain.state import Shown
from heartbeat_central.domain.view import ApplicationView
from heartbeat_central.services.look_through import PERIOD, LookThrough
from heartbeat_central.services.manage_applications import change_application
from heartbeat_central.services.record_signals import Outcome
from tests.support.world import BASE_URL, World, at, on_sqlite, signal

DAY = 86_400
FAR = {"sqlite": "253402300000000000", "postgresql": "'9999-12-31 00:00:00+00'"}
NO_TIMES = ["NULL", "far", "'yesterday'", "x'00ff'", "1e300"]
ONLY_ON_SQLITE = NO_TIMES[2:]


def run(world: World, statement: str) -> None:
    with world.database.write() as connection:
        connection.execute(text(statement))


def walk(
    world: World, seconds: float, walker: LookThrough | None = None, *, page: int = 500
) -> int:
    walker = walker or LookThrough(world.database, page=page)
    found = 0
    while True:
        looked = walker.step(now=at(seconds))
        found += looked.found
        if looked.next_at > at(seconds):
            assert looked.next_at == at(seconds) + PERIOD
            return found


def lose_state(world: World, *lost: ApplicationView) -> None:
    ids = ", ".join(str(one.id) for one in lost)
    run(world, f"DELETE FROM application_states WHERE application_id IN ({ids})")


@pytest.mark.parametrize("stored", NO_TIMES)
def test_a_time_to_look_that_never_comes_is_noticed_within_the_hour(
    world: World, stored: str
) -> None:
    if stored in ONLY_ON_SQLITE and world.database.dialect != "sqlite":
        stored = "'infinity'"
    value = FAR[world.database.dialect] if stored == "far" else stored
    lost, good = world.application("lost"), world.application("good")
    walker = LookThrough(world.database)
    assert walk(world, 1, walker) == 0
    run(world, f"UPDATE application_states SET check_at = {value} WHERE application_id = {lost.id}")
    # As it stands: the detector goes on with the others, and never comes to this one.
    assert world.detect(3601).deadlines == [at(70)]
    assert world.look(good, 3601).status is Shown.DOWN
    assert walk(world, 3601, walker) == 1
    assert world.detect(3601).deadlines == [at(70)]
    assert world.look(lost, 3601).status is Shown.DOWN
    assert walk(world, 7300, walker) == 0


def test_healthy_ones_are_left_alone(world: World) -> None:
    schedule = {"kind": "cron", "expression": "0 3 * * *", "timezone": "Europe/Vienna"}
    daily = world.application("daily", schedule=schedule)
    up, paused, down = (world.application(name, interval=DAY) for name in ("up", "paused", "down"))
    world.application("later", expect_first_heartbeat=False)
    running = world.application("running", interval=DAY, grace=600)
    for one in (up, daily):
        world.beat(one, 30)
    world.beat(running, 31, SignalKind.START)
    world.beat(down, 32, SignalKind.FAIL)
    change_application(
        world.database, world.project_id, paused.id, {"is_active": False},
        now=at(33), base_url=BASE_URL,
    )  # fmt: skip
    assert walk(world, 40, page=2) == 0


def test_a_zone_that_is_gone_is_found_at_the_start_for_all_that_lie_in_it(world: World) -> None:
    schedule = {"kind": "cron", "expression": "0 3 * * *", "timezone": "Europe/Vienna"}
    made = [world.application(f"job {number}", schedule=schedule) for number in range(5)]
    world.application("other")
    run(
        world,
        "UPDATE applications SET schedule_timezone = 'Mars/Olympus' WHERE schedule_kind = 'cron'",
    )
    assert walk(world, 1, page=2) == 5
    assert world.detect(1).went_down == 0
    assert all("no IANA time zone" in (world.look(one, 2).problem or "") for one in made)
    # Known now, and looked at again in an hour as ever.
    assert walk(world, 2, page=2) == 0


def test_time_granted_for_a_blind_window_is_left_as_it_is(world: World) -> None:
    one = world.application(interval=600, grace=10)
    world.beat(one, 10)
    micros = int(at(0).timestamp() * 1_000_000)
    moments = {
        "sqlite": (str(micros + 300 * 10**6), str(micros + 630 * 10**6)),
        "postgresql": tuple(f"'{at(second).isoformat()}'" for second in (300, 630)),
    }[world.database.dialect]
    run(
        world,
        "INSERT INTO blind_windows (id, started_at, ended_at, cause)"
        f" VALUES (1, {moments[0]}, {moments[1]}, 'stopped')",
    )
    assert world.detect(640).next_check_at == at(630 + 610)
    assert walk(world, 641) == 0
    assert world.detect(641).next_check_at == at(630 + 610)


def test_a_state_that_is_missing_is_made_anew(world: World) -> None:
    first, second, good = (world.application(name) for name in ("first", "second", "good"))
    lose_state(world, first, second)
    world.beat(good, 50)
    assert world.detect(100).deadlines == []
    assert walk(world, 100) == 2
    # Silence counts from now.
    world.detect(100)
    assert world.look(first, 101).deadline == at(170)
    assert world.detect(171).deadlines == [at(120), at(170), at(170)]
    assert walk(world, 172) == 0


def test_one_that_was_down_stays_so_until_it_calls(world: World) -> None:
    one = world.application(channels=[world.webhook("http://127.0.0.1:9/")])
    world.detect(71)
    lose_state(world, one)
    walk(world, 100)
    assert world.look(one, 101).status is Shown.DOWN
    world.beat(one, 110)
    assert world.look(one, 111).status is Shown.UP


def test_a_heartbeat_without_a_state_is_kept_and_makes_it(world: World) -> None:
    lost, good = world.application("lost"), world.application("good")
    lose_state(world, lost)
    sent = world.record([signal(lost.uuid, 5), signal(good.uuid, 5), signal(lost.uuid, 6)])
    assert sent.outcomes == [Outcome.STORED] * 3
    assert world.look(lost, 7).last_heartbeat == at(6)
    assert world.look(lost, 7).status is Shown.UP
    world.detect(77)
    assert world.look(lost, 77).status is Shown.DOWN


def test_without_a_state_it_can_be_shown_and_changed(world: World) -> None:
    lost = world.application()
    lose_state(world, lost)
    assert "missing" in (world.look(lost, 5).problem or "")
    changed = change_application(
        world.database, world.project_id, lost.id, {"expected_interval": 600},
        now=at(10), base_url=BASE_URL,
    )  # fmt: skip
    assert (changed.problem, changed.deadline) == (None, at(620))


@on_sqlite
def test_a_deleted_one_is_not_made_anew(world: World) -> None:
    lost = world.application()
    run(world, "DELETE FROM applications")
    assert world.beat(lost, 5) is Outcome.UNKNOWN
    assert walk(world, 6) == 0
    with pytest.raises(NotFound):
        world.look(lost, 7)

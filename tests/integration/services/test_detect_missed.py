"""Noticing: silence past the deadline opens one incident, with its alerts, in one transaction."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import func, select

from heartbeat_central.domain.state import Shown
from heartbeat_central.services import detect_missed as detector
from heartbeat_central.services.list_applications import count_by_status, list_applications
from heartbeat_central.services.record_signals import Outcome
from heartbeat_central.services.tell_problems import tell_problems
from heartbeat_central.storage import tables
from tests.support.world import BASE_URL, World, at


def count(world: World, table: str) -> int:
    with world.database.read() as connection:
        rows = select(func.count()).select_from(tables.metadata.tables[table])
        return connection.execute(rows).scalar_one()


def test_opens_an_incident_at_the_exact_deadline(world: World) -> None:
    application = world.application(channels=[world.webhook("http://127.0.0.1:9/")])
    world.beat(application, 5)
    assert world.detect(500).went_down == 1
    assert world.look(application, 500).status is Shown.DOWN
    with world.database.read() as connection:
        incident = connection.execute(select(tables.incidents)).one()
    assert (incident.reason, incident.opened_at) == ("missed", at(75))
    assert incident.last_heartbeat_at == at(5)


def test_tells_every_subscribed_channel_once(world: World) -> None:
    channels = [world.webhook(f"http://127.0.0.1:9/{n}") for n in range(3)]
    world.application(channels=channels)
    assert world.detect(70).alerts_added == 3
    assert world.detect(71).alerts_added == 0
    assert count(world, "incidents") == 1
    assert count(world, "deliveries") == 3


def test_leaves_an_application_alone_whose_deadline_a_heartbeat_has_moved(world: World) -> None:
    application = world.application()
    world.beat(application, 60)
    swept = world.detect(70)
    assert swept.went_down == 0
    assert swept.next_check_at == at(130)


def test_says_when_to_look_again(world: World) -> None:
    assert world.detect(0).next_check_at is None
    world.application(interval=300, grace=0)
    world.application(interval=100, grace=0)
    assert world.detect(0).next_check_at == at(100)
    assert detector.next_check(world.database) == at(100)


def test_takes_no_more_than_it_is_told_to(world: World) -> None:
    for number in range(5):
        world.application(f"app {number}")
    swept = detector.detect_missed(world.database, now=at(1000), base_url="http://hc", most=3)
    assert (swept.judged, swept.went_down, swept.more) == (3, 3, True)
    assert swept.held > 0
    rest = detector.detect_missed(world.database, now=at(1000), base_url="http://hc", most=3)
    assert (rest.judged, rest.went_down, rest.more) == (2, 2, False)


def test_takes_no_more_than_a_batch_at_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detector, "BATCH", {world.database.dialect: 2})
    for number in range(3):
        world.application(f"app {number}")
    first, second = world.detect(1000), world.detect(1000)
    assert (first.went_down, first.more) == (2, True)
    assert (second.went_down, second.more) == (1, False)


def test_several_nodes_at_once_open_one_incident_each(world: World) -> None:
    for number in range(40):
        world.application(f"app {number}")
    with ThreadPoolExecutor(4) as nodes:
        swept = list(nodes.map(lambda _: world.detect(1000), range(8)))
    assert sum(one.went_down for one in swept) == 40
    assert count(world, "incidents") == 40


def test_each_of_many_that_go_down_together_tells_its_own_channels_of_its_own_outage(
    world: World,
) -> None:
    one, two, three = (world.webhook(f"http://127.0.0.1:9/{n}") for n in range(3))
    subscribed = {
        world.application(f"app {number}", interval=60 + number, channels=channels).id: channels
        for number, channels in enumerate([[one, two], [], [three], [two, three]] * 5)
    }
    assert world.detect(1000).alerts_added == 25
    told: dict[int, list[int]] = {application_id: [] for application_id in subscribed}
    with world.database.read() as connection:
        opened_at = {
            row.id: (row.application_id, row.opened_at)
            for row in connection.execute(select(tables.incidents))
        }
        for row in connection.execute(
            select(tables.deliveries, tables.alerts.c.snapshot, tables.alerts.c.incident_id)
            .join(tables.alerts)
            .order_by(tables.deliveries.c.channel_id)
        ):
            application, incident = row.snapshot["application"], row.snapshot["incident"]
            assert incident["id"] == row.incident_id
            assert opened_at[row.incident_id][0] == application["id"] == row.application_id
            assert application["channels"] == subscribed[row.application_id]
            told[row.application_id].append(row.channel_id)
    assert told == subscribed
    assert {moment for _, moment in opened_at.values()} == {at(70 + n) for n in range(20)}


def test_a_schedule_that_fires_no_more_is_told_once_its_last_run_has_reported(
    world: World,
) -> None:
    schedule = {"kind": "oncalendar", "expression": f"{at(30):%F %T}", "timezone": "UTC"}
    channel = world.webhook("http://127.0.0.1:9/")
    once = world.application("once", schedule=schedule, channels=[channel])
    world.application("other", channels=[channel])
    world.beat(once, 31)
    assert world.look(once, 32).next_expected is None
    views = list_applications(world.database, world.project_id, now=at(33), base_url=BASE_URL)
    assert {view.status for view in views} == {Shown.UP, Shown.NEW}
    assert world.detect(71).deadlines == [at(70)]
    assert "does not fire any more" in (world.look(once, 72).problem or "")
    assert world.beat(once, 73) is Outcome.STORED
    assert tell_problems(world.database, now=at(80), base_url=BASE_URL) == 1
    counts = count_by_status(world.database, world.project_id, now=at(81))
    assert (counts[Shown.UP], counts[Shown.DOWN]) == (1, 1)

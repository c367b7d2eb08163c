"""Many applications that go down together: one digest for each channel, and no outage is left out."""

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import select, update

from heartbeat_central.domain.alert import Alert, AlertKind
from heartbeat_central.domain.digest import Digest
from heartbeat_central.domain.signal import SignalKind
from heartbeat_central.domain.view import ApplicationView
from heartbeat_central.services import detect_missed as detector
from heartbeat_central.services.manage_applications import delete_application, pause_application
from heartbeat_central.storage import tables
from heartbeat_central.storage.outbox import DeliveryStatus
from tests.support.receivers.http import HttpReceiver, respond
from tests.support.world import BASE_URL, World, at, on_postgresql, signal

DOWN = 70
"""Seconds after START at which a silent application of this world goes down."""


@pytest.fixture
def receiver() -> Iterator[HttpReceiver]:
    with HttpReceiver() as listening:
        yield listening


def applications(
    world: World, count: int, *channels: int, prefix: str = "app", **more: Any
) -> list[ApplicationView]:
    return [world.application(f"{prefix} {n}", channels=channels, **more) for n in range(count)]


def recover(world: World, some: Sequence[ApplicationView], seconds: float) -> None:
    world.record([signal(application.uuid, seconds) for application in some])


def tell(world: World, seconds: float) -> list[Alert]:
    """Deliver whatever is due; return it in the order in which it was sent."""
    told: list[Alert] = []
    while claimed := world.claim(seconds):
        for one in claimed:
            assert world.send(one, seconds) is DeliveryStatus.DELIVERED
            told.append(one.alert)
    return told


def the_digest(alerts: Sequence[Alert]) -> Digest:
    (one,) = alerts
    assert one.kind is AlertKind.DIGEST
    assert one.digest is not None
    return one.digest


def told(digest: Digest) -> set[str]:
    return {entry.application.name for entry in digest.entries}


def rows(world: World) -> list[Any]:
    with world.database.read() as connection:
        return list(
            connection.execute(
                select(tables.deliveries, tables.alerts.c.kind)
                .join(tables.alerts, tables.alerts.c.id == tables.deliveries.c.alert_id)
                .order_by(tables.deliveries.c.id)
            )
        )


def test_ten_that_go_down_together_are_told_in_one_digest(
    world: World, receiver: HttpReceiver
) -> None:
    hook = world.webhook(receiver.url)
    everyone = applications(world, 10, hook)
    world.detect(DOWN)
    assert world.claim(DOWN) == [], "held until the others have been noticed"
    assert world.digest(DOWN) == 0
    assert world.digest(DOWN + 1) == 1

    digest = the_digest(tell(world, DOWN + 1))
    assert told(digest) == {one.name for one in everyone}
    assert all(incident.closed_at is None for incident in digest.incidents())
    assert digest.title == "DOWN: 10 applications, likely a shared cause"
    assert "likely a shared cause" in digest.sentence


def test_each_channel_is_told_of_its_own_applications(world: World, receiver: HttpReceiver) -> None:
    one, other = world.webhook(receiver.url), world.webhook(receiver.url + "/other")
    first = applications(world, 6, one)
    second = applications(world, 7, one, other, prefix="shared")
    world.detect(DOWN)
    world.digest(DOWN + 1)
    tell(world, DOWN + 1)
    told = {
        request.target: {listed["name"] for listed in json.loads(request.body)["applications"]}
        for request in receiver.requests
    }
    assert told == {
        "/": {listed.name for listed in (*first, *second)},
        "/other": {listed.name for listed in second},
    }


def test_nine_of_many_are_no_storm(world: World, receiver: HttpReceiver) -> None:
    hook = world.webhook(receiver.url)
    applications(world, 9, hook)
    applications(world, 50, interval=3600)
    world.detect(DOWN)
    assert {one.kind for one in tell(world, DOWN)} == {AlertKind.DOWN}
    assert world.digest(DOWN + 60) == 0


@pytest.mark.parametrize(
    ("watched", "paused", "is_storm"),
    [
        (20, 0, True),  # 4 of 20
        (19, 0, False),  # too few to judge by a share
        (20, 30, True),  # paused ones don't count
        (21, 0, False),  # 4 of 21
    ],
)
def test_a_fifth_of_at_least_twenty_is_a_storm(
    world: World, receiver: HttpReceiver, watched: int, paused: int, is_storm: bool
) -> None:
    hook = world.webhook(receiver.url)
    applications(world, 4, hook)
    applications(world, watched - 4, interval=3600)
    for one in applications(world, paused, interval=3600):
        pause_application(world.database, world.project_id, one.id, now=at(1), base_url=BASE_URL)
    world.detect(DOWN)
    assert (world.claim(DOWN) == []) == is_storm


def test_outages_further_apart_than_a_minute_are_told_one_by_one(
    world: World, receiver: HttpReceiver
) -> None:
    hook = world.webhook(receiver.url)
    for number in range(30):
        application = world.application(f"app {number}", channels=[hook], interval=3600)
        world.beat(application, 7 * number, SignalKind.FAIL)
    assert len(tell(world, 300)) > 0
    assert {row.kind for row in rows(world)} == {"down"}


def test_failures_that_applications_report_are_a_storm_as_well(
    world: World, receiver: HttpReceiver
) -> None:
    hook = world.webhook(receiver.url)
    everyone = applications(world, 10, hook)
    world.record([signal(one.uuid, 5, SignalKind.FAIL, exit_status=1) for one in everyone])
    assert world.claim(5) == []
    world.digest(6)
    assert told(the_digest(tell(world, 6))) == {one.name for one in everyone}


def test_what_was_told_before_the_storm_was_recognised_is_in_the_digest_too(
    world: World, receiver: HttpReceiver
) -> None:
    hook = world.webhook(receiver.url)
    everyone = applications(world, 12, hook)
    for number in range(11):
        world.beat(everyone[number], 5 + number, SignalKind.FAIL)
        if number < 4:
            (alone,) = tell(world, 5 + number)
            assert alone.kind is AlertKind.DOWN
    # The tenth, at 14 s, makes it a storm. Numbers 4 to 8 were still waiting for their sender.
    world.digest(15)
    first = the_digest(tell(world, 15))
    assert told(first) == {f"app {number}" for number in range(11)}
    assert first.title == "DOWN: 11 applications, likely a shared cause"
    assert "went down within 10 s" in first.sentence
    assert [row.status for row in rows(world) if row.merged_into] == ["cancelled"] * 7

    world.beat(everyone[11], 16, SignalKind.FAIL)
    assert world.digest(17) == 0, "not again so soon"
    world.digest(25)
    (last,) = tell(world, 25)
    assert last.kind is AlertKind.DOWN, "there is nothing to merge it with"


def test_every_channel_of_its_own_is_told_at_once(world: World, receiver: HttpReceiver) -> None:
    """A storm that is one outage to each channel is told as outages are: without delay."""
    for number in range(12):
        world.application(f"app {number}", channels=[world.webhook(f"{receiver.url}/{number}")])
    world.detect(DOWN)
    assert [one.kind for one in tell(world, DOWN)] == [AlertKind.DOWN] * 12
    assert world.digest(DOWN + 60) == 0


def test_the_second_outage_that_a_channel_hears_of_brings_it_into_the_storm(
    world: World, receiver: HttpReceiver
) -> None:
    hook = world.webhook(receiver.url)
    applications(world, 12)
    early, late = applications(world, 2, hook, interval=3600)
    world.detect(DOWN)
    world.beat(early, DOWN + 1, SignalKind.FAIL)
    (alone,) = tell(world, DOWN + 1)
    assert alone.kind is AlertKind.DOWN
    world.beat(late, DOWN + 30, SignalKind.FAIL)
    assert world.claim(DOWN + 30) == []
    world.digest(DOWN + 31)
    assert told(the_digest(tell(world, DOWN + 31))) == {early.name, late.name}


def test_recoveries_are_told_in_one_digest_as_well(world: World, receiver: HttpReceiver) -> None:
    hook = world.webhook(receiver.url)
    everyone = applications(world, 12, hook)
    world.detect(DOWN)
    world.digest(DOWN + 1)
    tell(world, DOWN + 1)

    recover(world, everyone[:11], DOWN + 600)
    assert world.claim(DOWN + 600) == []
    world.digest(DOWN + 602)
    digest = the_digest(tell(world, DOWN + 602))
    assert told(digest) == {one.name for one in everyone[:11]}
    assert {incident.closed_at for incident in digest.incidents()} == {at(DOWN + 600)}
    assert digest.title == "UP: 11 applications that went down together"
    assert digest.sentence.endswith("1 is still down.")

    recover(world, everyone[11:], DOWN + 5000)
    world.digest(DOWN + 5002)
    (alone,) = tell(world, DOWN + 5002)
    assert alone.kind is AlertKind.UP


def test_what_is_over_before_the_digest_is_told_as_over(
    world: World, receiver: HttpReceiver
) -> None:
    hook = world.webhook(receiver.url)
    everyone = applications(world, 12, hook)
    world.detect(DOWN)
    recover(world, everyone[:3], DOWN + 0.5)
    world.digest(DOWN + 1)
    digest = the_digest(tell(world, DOWN + 1))
    assert told(digest) == {one.name for one in everyone}
    assert sum(incident.closed_at is not None for incident in digest.incidents()) == 3
    assert "3 of them are not down any more" in digest.sentence
    assert tell(world, DOWN + 60) == [], "their recoveries are told as well"
    assert all(
        row.status == "cancelled" and row.merged_into is not None
        for row in rows(world)
        if row.kind != "digest"
    )


def test_a_deleted_application_is_left_out_and_a_paused_one_is_told_as_such(
    world: World, receiver: HttpReceiver
) -> None:
    hook = world.webhook(receiver.url)
    deleted, paused, *others = applications(world, 12, hook)
    world.detect(DOWN)
    delete_application(world.database, world.project_id, deleted.id, now=at(DOWN + 0.5))
    pause_application(
        world.database, world.project_id, paused.id, now=at(DOWN + 0.5), base_url=BASE_URL
    )
    world.digest(DOWN + 1)
    digest = the_digest(tell(world, DOWN + 1))
    assert told(digest) == {one.name for one in (paused, *others)}
    assert [row.last_error for row in rows(world) if row.application_id == deleted.id] == [
        "the application was deleted"
    ]


class TestDigestThatIsLate:
    """The channel does not answer when the digest goes out."""

    @pytest.fixture
    def everyone(self, world: World, receiver: HttpReceiver) -> list[ApplicationView]:
        receiver.answer = respond(503)
        made = applications(world, 12, world.webhook(receiver.url))
        world.detect(DOWN)
        world.digest(DOWN + 1)
        (digest,) = world.claim(DOWN + 1)
        assert world.send(digest, DOWN + 1) is DeliveryStatus.PENDING
        receiver.answer = respond()
        return made

    def test_lists_things_as_they_are_by_then(
        self, world: World, receiver: HttpReceiver, everyone: list[ApplicationView]
    ) -> None:
        recover(world, everyone[:3], DOWN + 2)
        delete_application(world.database, world.project_id, everyone[3].id, now=at(DOWN + 2))
        digest = the_digest(tell(world, DOWN + 3))
        assert told(digest) == {one.name for one in everyone} - {everyone[3].name}
        assert sum(incident.closed_at is not None for incident in digest.incidents()) == 3

    def test_is_not_sent_when_all_is_over_and_the_recoveries_are_told(
        self, world: World, receiver: HttpReceiver, everyone: list[ApplicationView]
    ) -> None:
        recover(world, everyone, DOWN + 2)
        assert tell(world, DOWN + 60) == []
        (cancelled,) = [row for row in rows(world) if row.kind == "digest"]
        assert cancelled.status == "cancelled"
        assert "ended before this was sent" in cancelled.last_error
        world.digest(DOWN + 60)
        digest = the_digest(tell(world, DOWN + 60))
        assert digest.title == "UP: 12 applications that went down together"
        assert told(digest) == {one.name for one in everyone}


def test_a_storm_ends_when_nothing_went_down_for_a_minute(
    world: World, receiver: HttpReceiver
) -> None:
    hook = world.webhook(receiver.url)
    applications(world, 12, hook)
    late = world.application("late", interval=3600, channels=[hook])
    world.detect(DOWN)
    world.digest(DOWN + 1)
    tell(world, DOWN + 1)
    world.beat(late, DOWN + 61, SignalKind.FAIL)
    (alone,) = tell(world, DOWN + 61)
    assert alone.kind is AlertKind.DOWN


def test_digests_get_rarer_while_it_goes_on(world: World, receiver: HttpReceiver) -> None:
    hook = world.webhook(receiver.url)
    first = applications(world, 10, hook)
    world.detect(DOWN)
    sent = []
    for second in range(DOWN, DOWN + 240):
        if second % 4 == 0 and second < DOWN + 200:
            late = world.application(f"late {second}", interval=3600, channels=[hook])
            world.beat(late, second, SignalKind.FAIL)
        if world.digest(second):
            sent.append(second)
            tell(world, second)
    assert sent[:4] == [DOWN + 1, DOWN + 11, DOWN + 41, DOWN + 101]
    digests = [
        Digest.from_json(snapshot["digest"])
        for snapshot in (row.snapshot for row in _alerts(world) if row.kind == "digest")
    ]
    assert len(set().union(*map(told, digests))) == len(first) + 50
    assert digests[-1].sentence.startswith("1") or "more applications" in digests[-1].sentence


def _alerts(world: World) -> list[Any]:
    with world.database.read() as connection:
        return list(connection.execute(select(tables.alerts)))


class TestReachCheck:
    def test_a_node_that_cannot_reach_out_waits_for_one_that_can(
        self, world: World, receiver: HttpReceiver
    ) -> None:
        hook = world.webhook(receiver.url)
        applications(world, 12, hook)
        world.detect(DOWN)
        assert world.digest(DOWN + 1, reaches_out=False) == 0
        assert world.digest(DOWN + 1) == 0, "not asked again at once"
        assert world.digest(DOWN + 6) == 1
        digest = the_digest(tell(world, DOWN + 6))
        assert "could not reach out itself" in digest.sentence

    def test_after_two_minutes_it_is_told_all_the_same(
        self, world: World, receiver: HttpReceiver
    ) -> None:
        hook = world.webhook(receiver.url)
        everyone = applications(world, 12, hook)
        world.detect(DOWN)
        for second in range(DOWN + 1, DOWN + 120, 6):
            assert world.digest(second, reaches_out=False) == 0
            assert world.claim(second) == []
        recover(world, everyone[:8], DOWN + 119)
        assert world.digest(DOWN + 125, reaches_out=False) == 1
        digest = the_digest(tell(world, DOWN + 125))
        assert "its own network" in digest.sentence
        assert len(digest.entries) == 12

    def test_single_outages_don_t_ask(self, world: World, receiver: HttpReceiver) -> None:
        world.application(channels=[world.webhook(receiver.url)])
        world.detect(DOWN)
        assert world.digest(DOWN + 1, reaches_out=False) == 0
        assert len(tell(world, DOWN)) == 1


class TestSeveralNodes:
    def test_see_each_others_outages(
        self, world: World, receiver: HttpReceiver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Each transaction judges one application, so that no node ever sees ten by itself."""
        monkeypatch.setattr(detector, "BATCH", {world.database.dialect: 1})
        hook = world.webhook(receiver.url)
        everyone = applications(world, 30, hook)
        with ThreadPoolExecutor(4) as nodes:
            list(nodes.map(lambda _: world.detect(DOWN), range(45)))
        for second in (DOWN + 1, DOWN + 11):
            world.digest(second)
        alerts = tell(world, DOWN + 11)
        with world.database.read() as connection:
            assert len(connection.execute(select(tables.storms)).all()) == 1
        told_of = [
            entry.application.name for one in alerts if one.digest for entry in one.digest.entries
        ]
        told_of += [one.application.name for one in alerts if one.application]
        assert sorted(told_of) == sorted(one.name for one in everyone), "each once"
        assert len(alerts) == 1, "ten were noticed before a sender could begin with the first"

    def test_tell_each_digest_once(self, world: World, receiver: HttpReceiver) -> None:
        hook = world.webhook(receiver.url)
        applications(world, 12, hook)
        world.detect(DOWN)
        with ThreadPoolExecutor(4) as nodes:
            added = list(nodes.map(lambda _: world.digest(DOWN + 1), range(8)))
        assert sum(added) == 1
        assert len(the_digest(tell(world, DOWN + 1)).entries) == 12

    def test_what_a_node_is_sending_is_left_to_it(
        self, world: World, receiver: HttpReceiver
    ) -> None:
        hook = world.webhook(receiver.url)
        everyone = applications(world, 12, hook)
        world.beat(everyone[0], 5, SignalKind.FAIL)
        (sending,) = world.claim(5)
        world.record([signal(one.uuid, 6, SignalKind.FAIL) for one in everyone[1:]])
        world.digest(7)
        assert world.send(sending, 7) is DeliveryStatus.DELIVERED
        digest = the_digest(tell(world, 7))
        assert told(digest) == {one.name for one in everyone}
        assert [row.status for row in rows(world)].count("delivered") == 2

    @on_postgresql
    def test_what_is_just_being_recorded_is_in_the_digest_too(
        self, world: World, receiver: HttpReceiver
    ) -> None:
        hook = world.webhook(receiver.url)
        everyone = applications(world, 12, hook)
        world.beat(everyone[0], 5, SignalKind.FAIL)
        (sending,) = world.claim(5)
        with world.database.write() as recording:
            # As when the outcome of its send is recorded at this very moment.
            recording.execute(
                select(tables.deliveries)
                .where(tables.deliveries.c.id == sending.id)
                .with_for_update()
            ).all()
            world.record([signal(one.uuid, 6, SignalKind.FAIL) for one in everyone[1:]])
        assert world.send(sending, 6) is DeliveryStatus.DELIVERED
        world.digest(7)
        assert told(the_digest(tell(world, 7))) == {one.name for one in everyone}


def test_a_digest_that_cannot_be_made_sets_the_alerts_free(
    world: World, receiver: HttpReceiver
) -> None:
    hook = world.webhook(receiver.url)
    applications(world, 12, hook)
    world.detect(DOWN)
    with world.database.write() as connection:
        # What no version of ours writes: the held alerts can't be read.
        connection.execute(update(tables.alerts).values(kind="huh"))
    assert world.digest(DOWN + 1) == 12
    with world.database.write() as connection:
        connection.execute(update(tables.alerts).values(kind="down"))
    assert [one.kind for one in tell(world, DOWN + 1)] == [AlertKind.DOWN] * 12


def test_alerts_that_no_digest_takes_up_go_out_by_themselves(
    world: World, receiver: HttpReceiver
) -> None:
    """As after an upgrade that was taken back: the older version knows of no storms."""
    hook = world.webhook(receiver.url)
    applications(world, 12, hook)
    world.detect(DOWN)
    assert tell(world, DOWN + 300) == []
    assert [one.kind for one in tell(world, DOWN + 301)] == [AlertKind.DOWN] * 12
    assert world.digest(DOWN + 301) == 0

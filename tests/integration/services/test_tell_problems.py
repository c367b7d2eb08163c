"""An application that can't be watched is told to its channels: once, many together, and when it is over."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from sqlalchemy import text, update

from heartbeat_central.domain import view
from heartbeat_central.services import listed
from heartbeat_central.services.manage_applications import (
    change_application,
    delete_application,
    pause_application,
    resume_application,
)
from heartbeat_central.services.tell_problems import tell_problems
from heartbeat_central.storage import problems, tables
from heartbeat_central.storage.outbox import DeliveryStatus
from tests.support.racing import waiting
from tests.support.receivers.http import HttpReceiver
from tests.support.world import BASE_URL, World, at, on_postgresql

HOUR = 3600.0


@pytest.fixture
def receiver() -> Iterator[HttpReceiver]:
    with HttpReceiver() as listening:
        yield listening


def spoil(world: World, *names: str, interval: int | None = 0) -> None:
    """Write an interval that there can't be into these applications, or one of a minute."""
    with world.database.write() as connection:
        connection.execute(
            update(tables.applications)
            .where(tables.applications.c.name.in_(names))
            .values(expected_interval=interval)
        )


def tell(world: World, seconds: float) -> int:
    return tell_problems(world.database, now=at(seconds), base_url=BASE_URL)


def told(world: World, receiver: HttpReceiver, seconds: float) -> list[dict[str, Any]]:
    """Send what there is; return the bodies of the digests that arrived since the last time."""
    while claimed := world.claim(seconds):
        assert {world.send(one, seconds) for one in claimed} == {DeliveryStatus.DELIVERED}
    bodies = [json.loads(request.body) for request in receiver.requests]
    receiver.requests.clear()
    return [body for body in bodies if body["event"] == "digest"]


def names(digest: dict[str, Any]) -> list[str]:
    return [one["name"] for one in digest["applications"]]


def test_it_is_told_once_with_the_problem(world: World, receiver: HttpReceiver) -> None:
    world.application("Mail", channels=[world.webhook(receiver.url)])
    spoil(world, "Mail")
    world.detect(71)
    # A moment later there may be more of them.
    assert tell(world, 72) == 0
    assert tell(world, 76) == 1
    (digest,) = told(world, receiver, 76)
    assert digest["topic"] == "not_watched"
    assert digest["title"] == "NOT WATCHED: Mail"
    assert "must be between 1 and" in digest["applications"][0]["problem"]
    assert "Nobody is told when it misses a heartbeat" in digest["text"]
    assert "must be between 1 and" in digest["text"]
    for hours in (1, 2):
        world.detect(71 + hours * HOUR)
        assert tell(world, 80 + hours * HOUR) == 0


def test_many_come_in_one_message_a_channel(world: World, receiver: HttpReceiver) -> None:
    one, both = (world.webhook(receiver.url, name) for name in ("one", "both"))
    for number in range(30):
        world.application(f"A{number:02}", channels=[one, both] if number < 5 else [both])
    nobody_hears = world.application("A99")
    spoil(world, *(f"A{number:02}" for number in range(30)), nobody_hears.name)
    world.detect(71)
    assert tell(world, 77) == 2
    few, all_of_them = sorted(told(world, receiver, 77), key=lambda one: len(names(one)))
    assert names(few) == [f"A{number:02}" for number in range(5)]
    assert names(all_of_them) == [f"A{number:02}" for number in range(30)]
    assert all_of_them["title"] == "NOT WATCHED: 30 applications"


def test_those_that_follow_are_gathered_for_a_minute(world: World, receiver: HttpReceiver) -> None:
    channel = world.webhook(receiver.url)
    for second in (0, 10, 20):
        world.application(f"A{second}", channels=[channel], created_at=second)
        spoil(world, f"A{second}")
    for second in range(70, 100, 5):
        world.detect(second)
        tell(world, second)
    assert [names(one) for one in told(world, receiver, 100)] == [["A0"]]
    assert tell(world, 134) == 0
    assert tell(world, 140) == 1
    assert [names(one) for one in told(world, receiver, 140)] == [["A10", "A20"]]


def test_that_it_is_watched_again_is_told_too_and_a_problem_after_that_is_a_new_one(
    world: World, receiver: HttpReceiver
) -> None:
    application = world.application("Mail", channels=[world.webhook(receiver.url)])
    spoil(world, "Mail")
    world.detect(71)
    tell(world, 76)
    told(world, receiver, 76)
    # By itself, as an update may do it, found after an hour; then by hand.
    spoil(world, "Mail", interval=7200)
    world.detect(71 + HOUR)
    tell(world, 80 + HOUR)
    (digest,) = told(world, receiver, 80 + HOUR)
    assert digest["title"] == "WATCHED AGAIN: Mail"
    assert digest["applications"][0]["problem"] is None

    spoil(world, "Mail")
    world.detect(7211)
    tell(world, 7217)
    (digest,) = told(world, receiver, 7217)
    assert digest["title"] == "NOT WATCHED: Mail"
    change_application(
        world.database,
        world.project_id,
        application.id,
        {"expected_interval": 60},
        now=at(7300),
        base_url=BASE_URL,
    )
    tell(world, 7306)
    (digest,) = told(world, receiver, 7306)
    assert digest["title"] == "WATCHED AGAIN: Mail"


def test_what_came_and_went_before_it_was_told_is_not_told(
    world: World, receiver: HttpReceiver
) -> None:
    mail = world.application("Mail", channels=[world.webhook(receiver.url)])
    spoil(world, "Mail")
    world.detect(71)
    spoil(world, "Mail", interval=7200)
    world.detect(71 + HOUR)
    assert tell(world, 80 + HOUR) == 0
    # Nor what went and came back before anybody knew.
    spoil(world, "Mail")
    world.detect(7211)
    tell(world, 7217)
    told(world, receiver, 7217)
    spoil(world, "Mail", interval=90_000)
    assert world.detect(7211 + HOUR).next_check_at == at(90_010)
    spoil(world, "Mail")
    world.detect(90_011)
    assert tell(world, 90_020) == 0
    assert world.look(mail, 90_020).problem


def test_one_that_is_paused_or_deleted_is_not_told(world: World, receiver: HttpReceiver) -> None:
    channel = world.webhook(receiver.url)
    paused, deleted = (world.application(name, channels=[channel]) for name in ("P", "D"))
    spoil(world, "P", "D")
    world.detect(71)
    where = (world.database, world.project_id)
    pause_application(*where, paused.id, now=at(72), base_url=BASE_URL)
    delete_application(*where, deleted.id, now=at(72))
    assert tell(world, 80) == 0
    # Watched again, it is somebody's concern.
    resume_application(*where, paused.id, now=at(90), base_url=BASE_URL)
    tell(world, 96)
    assert [one["title"] for one in told(world, receiver, 96)] == ["NOT WATCHED: P"]
    # And paused, it isn't told as watched.
    pause_application(*where, paused.id, now=at(200), base_url=BASE_URL)
    assert tell(world, 300) == 0


def test_what_an_older_version_has_found_is_told_too(world: World, receiver: HttpReceiver) -> None:
    world.application("Mail", channels=[world.webhook(receiver.url)])
    spoil(world, "Mail")
    with world.database.write() as connection:
        connection.execute(text("UPDATE applications SET problem = 'the moon is full'"))
    assert tell(world, 10) == 0
    with world.database.write() as connection:
        problems.mark_unmarked(connection, now=at(20))
    assert tell(world, 30) == 1
    with world.database.write() as connection:
        problems.mark_unmarked(connection, now=at(100))
    assert tell(world, 200) == 0


def test_a_clock_that_was_set_back_holds_nothing_up(world: World, receiver: HttpReceiver) -> None:
    channel = world.webhook(receiver.url)
    for created_at, name in enumerate(("A", "B")):
        world.application(name, channels=[channel], created_at=10 * created_at)
    spoil(world, "A")
    world.detect(71)
    tell(world, 76)
    spoil(world, "B")
    world.detect(80)
    assert tell(world, -HOUR) == 1


def test_channels_that_cant_be_opened_hide_it_from_nobody(
    world: World, receiver: HttpReceiver
) -> None:
    broken, good = (world.webhook(receiver.url, name) for name in ("broken", "good"))
    world.application("Mail", channels=[broken, good])
    with world.database.write() as connection:
        connection.execute(text(f"UPDATE channels SET config = 'x' WHERE id = {broken}"))
    spoil(world, "Mail")
    world.detect(71)
    assert tell(world, 76) == 2
    outcomes = {one.channel_id: world.send(one, 77) for one in world.claim(77)}
    assert outcomes == {broken: DeliveryStatus.DEAD, good: DeliveryStatus.DELIVERED}
    assert [json.loads(one.body)["title"] for one in receiver.requests] == ["NOT WATCHED: Mail"]


def test_one_that_cant_even_be_listed_costs_the_others_nothing(
    world: World, receiver: HttpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel = world.webhook(receiver.url)
    for name in ("A", "B", "C"):
        world.application(name, channels=[channel])
    spoil(world, "A", "B", "C")
    world.detect(71)
    real = view.application_view

    def broken(application: Any, *given: Any, **more: Any) -> Any:
        if application.settings.name == "B":
            raise ZeroDivisionError("of this test")
        return real(application, *given, **more)

    monkeypatch.setattr(listed, "application_view", broken)
    tell(world, 76)
    (digest,) = told(world, receiver, 76)
    assert names(digest) == ["A", "B", "C"]
    assert all("must be between" in one["problem"] for one in digest["applications"])


@on_postgresql
def test_nodes_that_look_at_the_same_moment_tell_it_once(
    world: World, receiver: HttpReceiver
) -> None:
    channel = world.webhook(receiver.url)
    for name in ("A", "B"):
        world.application(name, channels=[channel])
    spoil(world, "A", "B")
    world.detect(71)
    with ExitStack() as stack:
        with world.database.write() as connection:
            (first,) = problems.untold(connection, world.project_id, most=1, lock=True)
            assert problems.claim_project(
                connection, world.project_id, now=at(76), told_before=at(16)
            )
            problems.set_told(connection, [first.id], told_at=at(76))
            second = stack.enter_context(waiting(world.database, lambda: tell(world, 77)))
        assert second.result() == 0
    assert tell(world, 137) == 1
    (digest,) = told(world, receiver, 137)
    assert names(digest) == ["B"]

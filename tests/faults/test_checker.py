"""The checker finds each kind of broken promise, and nothing in a history without one."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from heartbeat_central.domain.signal import SignalKind
from tests.faults.checker import (
    Beat,
    Call,
    Outage,
    Sent,
    Stored,
    Told,
    stored,
    told,
    violations,
)
from tests.support.receivers.http import HttpReceiver
from tests.support.world import World, at

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
APP, DELIVERY = UUID(int=1), UUID(int=2)


def second(number: float) -> datetime:
    return NOON + timedelta(seconds=number)


def call(marker: str, sent: float, status: int | None = 200, **more: object) -> Call:
    answered = None if status is None else second(sent + 0.02)
    taken = second(sent + 0.01) if status == 200 else None
    one = Call(
        uuid=APP,
        marker=marker,
        sent_at=second(sent),
        answered_at=answered,
        status=status,
        received_at=taken,
    )
    return replace(one, **more)  # type: ignore[arg-type]


def beat(marker: str, sent: float) -> Beat:
    return Beat(uuid=APP, marker=marker, received_at=second(sent + 0.01))


def outage(opened: float, closed: float | None = None, **more: object) -> Outage:
    one = Outage(
        id=7,
        uuid=APP,
        reason="missed",
        opened_at=second(opened),
        closed_at=None if closed is None else second(closed),
        heard_at=second(0.01),
    )
    return replace(one, **more)  # type: ignore[arg-type]


def sent(status: str = "delivered", decided: float = 11, **more: object) -> Sent:
    one = Sent(
        uuid=DELIVERY,
        incident_id=7,
        kind="down",
        channel_id=3,
        status=status,
        decided_at=second(decided),
    )
    return replace(one, **more)  # type: ignore[arg-type]


TOLD = Told(delivery_id=DELIVERY, event="down", incident_id=7)
# One heartbeat, then ten seconds of silence, told; then another one.
CALLS = [call("a", 0), call("b", 12)]
FOUND = Stored(
    beats=[beat("a", 0), beat("b", 12)],
    outages=[outage(10.01, 12.01)],
    sent=[sent()],
    patience={APP: timedelta(seconds=10)},
    subscribed={APP: [3]},
)


def test_nothing_is_said_of_a_history_that_is_right() -> None:
    assert violations(CALLS, [TOLD], FOUND) == []


@pytest.mark.parametrize(
    ("calls", "received", "found", "words"),
    [
        ([*CALLS, call("c", 13)], [TOLD], FOUND, "is not in the history"),
        (
            [CALLS[0], replace(CALLS[1], received_at=second(99))],
            [TOLD],
            FOUND,
            "the history says",
        ),
        (CALLS[:1], [TOLD], FOUND, "which nobody sent"),
        (
            [CALLS[0], call("b", 12, 404)],
            [TOLD],
            FOUND,
            "was answered 404 and is in the history",
        ),
        (CALLS, [TOLD], replace(FOUND, beats=[*FOUND.beats, beat("b", 12)]), "2 times"),
        # A heartbeat in good time, acknowledged before the outage was decided on.
        (
            [*CALLS, call("c", 5)],
            [TOLD],
            replace(FOUND, beats=[*FOUND.beats, beat("c", 5)]),
            "was acknowledged at",
        ),
        # One that came after the deadline, but was acknowledged before that.
        (
            [*CALLS, call("c", 10.5)],
            [TOLD],
            replace(FOUND, beats=[*FOUND.beats, beat("c", 10.5)]),
            "was acknowledged at",
        ),
        # One in good time that this service turned away.
        ([*CALLS, call("c", 5, 503)], [TOLD], FOUND, "could not be taken (503)"),
        ([*CALLS, call("c", 5, None)], [TOLD], FOUND, "could not be taken (None)"),
        (CALLS, [TOLD], replace(FOUND, outages=[outage(10.01, 9)]), "before it opened"),
        (
            CALLS,
            [TOLD],
            replace(FOUND, outages=[outage(10.01), outage(11, 12, id=8)], subscribed={}),
            "opened while 7",
        ),
        (CALLS, [TOLD], replace(FOUND, sent=[]), "has 0 deliveries"),
        (
            CALLS,
            [TOLD],
            replace(FOUND, sent=[sent(), sent(uuid=UUID(int=9), status="merged")]),
            "has 2 deliveries",
        ),
        (CALLS, [], FOUND, "did not arrive"),
        (CALLS, [], replace(FOUND, sent=[sent("pending")]), "is pending"),
        (CALLS, [], replace(FOUND, sent=[sent("dead")]), "is dead"),
        (CALLS, [TOLD, TOLD], FOUND, "arrived 2 times in 0 crashes"),
    ],
)
def test_a_broken_promise_is_named(
    calls: list[Call], received: list[Told], found: Stored, words: str
) -> None:
    said = violations(calls, received, found)
    assert len(said) == 1, said
    assert words in said[0]


@pytest.mark.parametrize(
    ("calls", "found"),
    [
        # Acknowledged when the outage had been decided on: it ends the outage.
        (
            [*CALLS, call("c", 10.99)],
            replace(FOUND, beats=[*FOUND.beats, beat("c", 10.99)]),
        ),
        # Before the heartbeat that silence was counted from.
        ([*CALLS, call("c", -1)], replace(FOUND, beats=[*FOUND.beats, beat("c", -1)])),
        # Not stored, and not promised.
        ([*CALLS, call("c", 13, 503), call("d", 14, None)], FOUND),
        # Stored, though the answer was lost.
        ([*CALLS, call("c", 13, None)], replace(FOUND, beats=[*FOUND.beats, beat("c", 13)])),
    ],
)
def test_what_may_happen_is_let_pass(calls: list[Call], found: Stored) -> None:
    assert violations(calls, [TOLD], found) == []


def test_a_crash_may_repeat_an_alert_once_and_no_more() -> None:
    assert violations(CALLS, [TOLD, TOLD], FOUND, crashes=1) == []
    assert len(violations(CALLS, [TOLD] * 3, FOUND, crashes=1)) == 1


def test_it_reads_a_real_history(world: World) -> None:
    with HttpReceiver() as receiver:
        channel = world.webhook(receiver.url)
        application = world.application(interval=9, grace=1, channels=[channel])
        world.beat(application, 0, body=b"a")
        world.detect(11)
        for claimed in world.claim(11):
            world.send(claimed, 11)
        world.beat(application, 12, SignalKind.SUCCESS, body=b"b")
        for claimed in world.claim(12):
            world.send(claimed, 12)
        found, received = stored(world.database), told(receiver.requests)
    assert [one.event for one in received] == ["down", "up"]
    (down,) = found.outages
    assert (down.opened_at, down.closed_at, down.heard_at) == (at(10), at(12), at(0))
    calls = [
        Call(
            uuid=application.uuid,
            marker=marker,
            sent_at=at(moment),
            answered_at=at(moment),
            status=200,
            received_at=at(moment),
        )
        for marker, moment in (("a", 0), ("b", 12))
    ]
    assert violations(calls, received, found) == []
    assert violations(calls[:1], received[:1], found) == [
        "the history holds 'b', which nobody sent",
        f"delivery {received[1].delivery_id} counts as delivered and did not arrive",
    ]

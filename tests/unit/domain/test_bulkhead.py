"""How many deliveries of one channel may be under way."""

from datetime import UTC, datetime, timedelta

from heartbeat_central.domain import bulkhead
from heartbeat_central.domain.bulkhead import Bulkheads

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def test_a_new_channel_starts_with_one() -> None:
    assert Bulkheads().choose([(1, 7), (2, 7), (3, 8)], most=10) == [1, 3]


def test_a_healthy_channel_is_given_more_and_more() -> None:
    bulkheads = Bulkheads()
    for _ in range(3):
        bulkheads.started(7)
        bulkheads.ended(7, well=True)
    assert bulkheads.choose([(n, 7) for n in range(10)], most=10) == [0, 1, 2, 3]


def test_a_failure_takes_a_channel_back_to_one() -> None:
    bulkheads = Bulkheads()
    for well in (True, True, False):
        bulkheads.started(7)
        bulkheads.ended(7, well=well)
    assert bulkheads.allowance(7) == 1


def test_a_hanging_channel_is_full() -> None:
    bulkheads = Bulkheads()
    bulkheads.started(7)
    assert bulkheads.full(NOON) == [7]
    assert bulkheads.choose([(1, 7), (2, 8)], most=10) == [2]
    bulkheads.ended(7, well=True)
    assert bulkheads.full(NOON) == []


def test_still_counts_the_others_when_one_of_several_ends() -> None:
    bulkheads = Bulkheads()
    bulkheads.started(7)
    bulkheads.started(7)
    bulkheads.ended(7, well=False)
    assert bulkheads.full(NOON) == [7]


def test_chooses_no_more_than_there_is_room_for() -> None:
    assert Bulkheads().choose([(1, 7), (2, 8), (3, 9)], most=2) == [1, 2]


def test_is_bounded_per_channel_and_in_memory() -> None:
    bulkheads = Bulkheads()
    for _ in range(bulkhead.MOST + 5):
        bulkheads.started(7)
        bulkheads.ended(7, well=True)
    assert bulkheads.allowance(7) == bulkhead.MOST
    for channel in range(bulkhead.FORGET_ABOVE + 2):
        bulkheads.started(channel)
        bulkheads.ended(channel, well=True)
    assert bulkheads.allowance(7) == 1


def test_a_copy_goes_its_own_way() -> None:
    bulkheads = Bulkheads()
    bulkheads.started(7)
    copy = bulkheads.copy()
    assert copy.full(NOON) == [7]
    bulkheads.ended(7, well=True)
    assert (copy.allowance(7), bulkheads.allowance(7)) == (0, 2)


def silenced(seconds: float) -> Bulkheads:
    """Channel 7 after an answer that it will listen again in so many seconds."""
    bulkheads = Bulkheads()
    bulkheads.started(7)
    bulkheads.ended(7, well=False, quiet_until=NOON + timedelta(seconds=seconds))
    return bulkheads


def test_a_receiver_that_says_when_is_left_alone_until_then() -> None:
    bulkheads = silenced(30)
    assert bulkheads.full(NOON + timedelta(seconds=29)) == [7]
    assert bulkheads.quiet_until(NOON) == NOON + timedelta(seconds=30)
    assert bulkheads.full(NOON + timedelta(seconds=30)) == []
    assert bulkheads.quiet_until(NOON + timedelta(seconds=30)) is None
    assert bulkheads.copy().full(NOON) == [7]


def test_the_longest_of_several_answers_counts_until_one_is_delivered() -> None:
    bulkheads = silenced(30)
    for seconds, well in ((10, False), (None, False)):
        bulkheads.started(7)
        until = None if seconds is None else NOON + timedelta(seconds=seconds)
        bulkheads.ended(7, well=well, quiet_until=until)
    assert bulkheads.quiet_until(NOON) == NOON + timedelta(seconds=30)
    bulkheads.started(7)
    bulkheads.ended(7, well=True)
    assert bulkheads.full(NOON) == []

"""What a self-beat proves, and the blind windows that end with it."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from heartbeat_central.domain.blind_window import BlindWindow, Cause
from heartbeat_central.domain.reception import (
    Node,
    Proven,
    Reading,
    SelfBeat,
    Undecided,
    judge,
)

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
HERE = UUID("0b1f5f3e-8c1d-4c6e-9a52-3f1f0a7f5d11")
FORMER = UUID("1b1f5f3e-8c1d-4c6e-9a52-3f1f0a7f5d11")
THERE = UUID("2b1f5f3e-8c1d-4c6e-9a52-3f1f0a7f5d11")


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def reading(wall: float, *, ran: float | None = None, slept: float = 0) -> Reading:
    """The wall clock, what the machine ran since noon (as long by default), and what it slept."""
    ran = wall - slept if ran is None else ran
    return Reading(
        at=at(wall), monotonic=timedelta(seconds=ran), boottime=timedelta(seconds=ran + slept)
    )


def node(id_: UUID, seen: float, *, stopped: float | None = None) -> Node:
    return Node(id=id_, seen_at=at(seen), stopped_at=None if stopped is None else at(stopped))


def proven(start: float, end: float, cause: Cause) -> Proven:
    return Proven(BlindWindow(started_at=at(start), ended_at=at(end), cause=cause))


def first(now: float, waited: Undecided | None = None) -> SelfBeat:
    return SelfBeat(node=HERE, now=reading(now), waited=waited)


def later(
    before: Reading, now: Reading, *, pause: float = 1, failed: float | None = None
) -> SelfBeat:
    return SelfBeat(
        node=HERE,
        now=now,
        before=before,
        longest_pause=timedelta(seconds=pause),
        failed_at=None if failed is None else at(failed),
    )


# --- the start of a process --------------------------------------------------------------------


def test_the_very_first_start_ends_no_window() -> None:
    assert judge(first(0), [], alone=True) == Proven()


@pytest.mark.parametrize("away", [0.5, 60, 24 * 3600])
def test_a_start_ends_the_window_since_the_last_proof_however_short(away: float) -> None:
    found = judge(first(away), [node(FORMER, 0)], alone=True)
    assert found == proven(0, away, Cause.STOPPED)


def test_a_start_beside_others_waits_for_a_sign_of_life() -> None:
    undecided = judge(first(2), [node(FORMER, -50), node(THERE, 1)], alone=False)
    assert undecided == Undecided(since=at(2), newest=at(1))
    same = judge(first(2.5, undecided), [node(FORMER, -50), node(THERE, 1)], alone=False)
    assert same == undecided
    assert judge(first(3, undecided), [node(THERE, 2.2)], alone=False) == Proven()


def test_without_a_sign_of_life_the_window_ends_when_this_process_began() -> None:
    undecided = Undecided(since=at(2), newest=at(1))
    found = judge(first(4.1, undecided), [node(THERE, 1)], alone=False)
    assert found == proven(1, 2, Cause.STOPPED)


def test_a_start_after_an_orderly_stop_need_not_wait() -> None:
    found = judge(first(2), [node(FORMER, 1, stopped=1.2)], alone=False)
    assert found == proven(1, 2, Cause.STOPPED)


# --- while it runs -----------------------------------------------------------------------------


def test_an_even_pace_ends_no_window() -> None:
    beat = later(reading(0), reading(1))
    assert judge(beat, [node(HERE, 0), node(FORMER, -99)], alone=True) == Proven()


def test_a_slow_commit_is_no_window_while_the_process_goes_on() -> None:
    assert judge(later(reading(0), reading(9)), [node(HERE, 0)], alone=True) == Proven()


def test_a_process_that_stood_still_was_blind() -> None:
    beat = later(reading(0), reading(9), pause=8.5)
    assert judge(beat, [node(HERE, 0)], alone=True) == proven(0, 9, Cause.STALLED)


def test_a_machine_that_slept_was_blind() -> None:
    beat = later(reading(0), reading(600, slept=599), pause=600)
    assert judge(beat, [node(HERE, 0)], alone=True) == proven(0, 600, Cause.SUSPENDED)


def test_it_was_not_blind_when_another_could_receive_all_the_time() -> None:
    beat = later(reading(0), reading(9), pause=8.5)
    assert judge(beat, [node(HERE, 0), node(THERE, 8)], alone=False) == Proven()


def test_with_several_nodes_it_begins_with_the_last_proof_of_any() -> None:
    beat = later(reading(0), reading(9), pause=8.5)
    found = judge(beat, [node(HERE, 0), node(THERE, 4)], alone=False)
    assert found == proven(4, 9, Cause.STALLED)


def test_a_refused_heartbeat_makes_a_window_however_short() -> None:
    beat = later(reading(0), reading(1.5), failed=1)
    assert judge(beat, [node(HERE, 0)], alone=True) == proven(0, 1.5, Cause.STALLED)
    others_refused_too = [node(HERE, 0), node(THERE, 0.5)]
    assert judge(beat, others_refused_too, alone=False) == proven(0.5, 1.5, Cause.STALLED)
    others_went_on = [node(HERE, 0), node(THERE, 1.2)]
    assert judge(beat, others_went_on, alone=False) == Proven()


# --- clocks ------------------------------------------------------------------------------------


@pytest.mark.parametrize("nodes", [[node(HERE, 0)], [node(HERE, 0), node(THERE, 0)]])
def test_a_clock_set_forward_makes_a_window_of_what_it_left_out(nodes: list[Node]) -> None:
    beat = later(reading(0), reading(3600, ran=1))
    assert judge(beat, nodes, alone=False) == proven(0, 3600, Cause.CLOCK_SET_FORWARD)


def test_a_clock_set_back_makes_a_window_of_what_it_shows_twice() -> None:
    beat = later(reading(0), reading(-3599, ran=1))
    assert judge(beat, [node(HERE, 0)], alone=True) == proven(-3599, 1, Cause.CLOCK_SET_BACK)


def test_a_clock_set_back_between_two_starts_is_noticed() -> None:
    found = judge(first(-3000), [node(FORMER, 0)], alone=True)
    assert found == proven(-3000, 0, Cause.CLOCK_SET_BACK)


def test_clocks_that_differ_a_little_between_nodes_are_no_step() -> None:
    assert judge(first(0), [node(THERE, 3)], alone=False) == Undecided(since=at(0), newest=at(3))
    found = judge(first(0), [node(THERE, 3, stopped=3)], alone=False)
    assert found == proven(0, 0, Cause.STOPPED)


def test_a_clock_that_is_slewed_makes_no_window() -> None:
    beat = later(reading(0), reading(1.4, ran=1))
    assert judge(beat, [node(HERE, 0)], alone=True) == Proven()

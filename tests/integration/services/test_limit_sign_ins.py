"""Passwords can't be guessed by trying."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from heartbeat_central.services.limit_sign_ins import MOST, TooManyTries, count_try, forget_tries
from tests.support.world import World, at

ADA, HERE = "ada@example.com", "203.0.113.1"


def tried(world: World, seconds: float, email: str = ADA, address: str = HERE) -> bool:
    """Return whether a sign-in may be tried."""
    try:
        count_try(world.database, email, address, now=at(seconds))
    except TooManyTries:
        return False
    return True


def test_a_minute_has_so_many_tries_per_account_and_address(world: World) -> None:
    assert all(tried(world, number) for number in range(MOST))
    assert not tried(world, 11)
    assert not tried(world, 12, email=" ADA@example.com ")
    assert tried(world, 12, address="203.0.113.2")
    assert tried(world, 12, email="eve@example.com")


def test_what_is_refused_does_not_count(world: World) -> None:
    assert all(tried(world, 0) for _ in range(MOST))
    assert not any(tried(world, seconds) for seconds in range(1, 60))
    assert tried(world, 60)


def test_the_window_moves(world: World) -> None:
    assert all(tried(world, 10 * (number % 6)) for number in range(MOST))
    assert not tried(world, 59)
    # Those of the first second are a minute old.
    assert tried(world, 60)


def test_no_more_get_through_at_the_same_moment(world: World) -> None:
    with ThreadPoolExecutor(8) as pool:
        allowed = list(pool.map(lambda _: tried(world, 0), range(3 * MOST)))
    assert sum(allowed) == MOST


@pytest.mark.parametrize(("later", "forgotten"), [(59, 0), (60, 3)])
def test_forgets_what_counts_no_more(world: World, later: float, forgotten: int) -> None:
    for _ in range(3):
        tried(world, 0)
    assert forget_tries(world.database, now=at(later)) == forgotten


def test_takes_any_text(world: World) -> None:
    assert tried(world, 0, email="\udc80\x00" * 1000)

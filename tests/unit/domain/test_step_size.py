"""Steps grow to what a machine can do in the time, and shrink at once when it can't."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heartbeat_central.domain.step_size import StepSize


@pytest.mark.parametrize(
    ("seconds", "rows", "size"),
    [
        (0.02, 100, 100),  # just what it may take
        (0.016, 100, 125),  # a quarter faster, a quarter more
        (0.001, 100, 200),  # one fast step may have been luck
        (0.0, 100, 200),
        (0.04, 100, 50),  # twice too slow
        (9.0, 100, 10),  # never less than makes progress
        (0.001, 40, 100),  # not a full step: it says nothing of one
        (0.04, 40, 20),  # too slow although it was not full
        (0.001, 300, 200),  # more than was asked for counts as full
    ],
)
def test_the_next_step_fits_the_time(seconds: float, rows: int, size: int) -> None:
    step = StepSize(first=100, least=10, most=1000)
    step.took(seconds, of=0.02, rows=rows)
    assert step.rows == size


def test_it_grows_to_the_most_and_no_further() -> None:
    step = StepSize(first=100, least=10, most=1000)
    for _ in range(20):
        step.took(0.0001, of=0.02, rows=step.rows)
    assert step.rows == 1000


def test_it_settles_at_what_a_machine_can_do() -> None:
    step = StepSize(first=100, least=10, most=100_000)
    for _ in range(20):
        step.took(step.rows / 50_000, of=0.02, rows=step.rows)
    assert step.rows == pytest.approx(1000, rel=0.01)


@given(st.lists(st.tuples(st.floats(0, 10), st.integers(0, 2000)), max_size=20))
def test_it_stays_within_bounds(steps: list[tuple[float, int]]) -> None:
    step = StepSize(first=100, least=10, most=1000)
    for seconds, rows in steps:
        before = step.rows
        step.took(seconds, of=0.02, rows=rows)
        assert 10 <= step.rows <= min(1000, 2 * before)

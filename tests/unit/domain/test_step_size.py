"""Steps of a long job grow and shrink with the time that they take."""

import pytest

from heartbeat_central.domain.step_size import StepSize


@pytest.mark.parametrize(
    ("seconds", "rows", "expected"),
    [
        # Twice as fast as it may be: twice as many, and never more than that.
        (0.05, 1000, 2000),
        (0.0, 1000, 2000),
        (0.08, 1000, 1250),
        # Too slow: as many fewer as it took too long, at once.
        (0.4, 1000, 250),
        (10.0, 1000, 100),
        # Not full: a fast one tells nothing, a slow one does.
        (0.01, 600, 1000),
        (0.2, 600, 300),
    ],
)
def test_the_next_step_fits_its_time(seconds: float, rows: int, expected: int) -> None:
    step = StepSize(first=1000, least=100, most=10_000)
    step.took(seconds, of=0.1, rows=rows)
    assert step.rows == expected


def test_stays_within_its_bounds() -> None:
    step = StepSize(first=1000, least=100, most=3000)
    for _ in range(3):
        step.took(0.01, of=0.1, rows=step.rows)
    assert step.rows == 3000
    for _ in range(3):
        step.took(60.0, of=0.1, rows=step.rows)
    assert step.rows == 100

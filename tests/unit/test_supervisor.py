"""When a worker that died is started again."""

import pytest

from heartbeat_central.cli.supervisor import LONG_LIFE, LONGEST_DELAY, restart_delay


@pytest.mark.parametrize(
    ("lived", "short_lives", "delay"),
    [
        (3600, 0, 0),
        # Whatever was before: it has worked since.
        (LONG_LIFE, 7, 0),
        (0.1, 0, 0),
        (0.1, 1, 1),
        (0.1, 2, 2),
        (0.1, 3, 4),
        (0.1, 6, LONGEST_DELAY),
        (0.1, 10_000, LONGEST_DELAY),
    ],
)
def test_at_once_unless_it_keeps_dying_young(lived: float, short_lives: int, delay: float) -> None:
    assert restart_delay(lived, short_lives) == delay

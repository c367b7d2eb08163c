"""What the numbers in the history mean."""

import pytest

from heartbeat_central.domain.signal import SignalKind


@pytest.mark.parametrize(
    ("number", "label"), [(0, "success"), (1, "start"), (2, "fail"), (3, "log")]
)
def test_stored_numbers_keep_their_meaning(number: int, label: str) -> None:
    assert SignalKind(number).label == label

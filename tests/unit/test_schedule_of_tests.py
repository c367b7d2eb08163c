"""The order in which tests are begun names files that there are."""

from tests.support.schedule import LONG_FIRST, TESTS


def test_every_long_file_is_there_and_named_once() -> None:
    assert [name for name in LONG_FIRST if not (TESTS / name).is_file()] == []
    assert len(set(LONG_FIRST)) == len(LONG_FIRST)

"""Blind windows, and asking many of them at once."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heartbeat_central.domain.blind_window import BlindWindow, BlindWindows, Cause, Span, Spans

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def window(start: float, end: float, cause: Cause = Cause.STOPPED) -> BlindWindow:
    return BlindWindow(started_at=at(start), ended_at=at(end), cause=cause)


def spans(*pairs: tuple[float, float]) -> Spans:
    return Spans(Span(at(start), at(end)) for start, end in pairs)


def test_lasts_from_the_last_proof_to_the_next() -> None:
    assert window(0, 65).length == timedelta(seconds=65)


def test_refuses_to_end_before_it_starts() -> None:
    with pytest.raises(ValueError, match="before it starts"):
        window(2, 1)


@pytest.mark.parametrize(
    ("start", "end", "overlaps"),
    [(0, 9, False), (0, 10, True), (12, 13, True), (20, 30, True), (21, 30, False), (0, 99, True)],
)
def test_both_ends_belong_to_it(start: float, end: float, overlaps: bool) -> None:
    assert window(10, 20).overlaps(at(start), at(end)) is overlaps


def test_answers_with_all_that_overlaps_in_one_span() -> None:
    several = spans((40, 50), (10, 20), (15, 30))
    assert several.within(at(25), at(45)) == Span(at(10), at(50))
    assert several.within(at(31), at(39)) is None
    assert several.within(at(51), at(60)) is None
    assert spans().within(at(0), at(1)) is None


def test_what_a_clock_shows_twice_matters_to_schedules_alone() -> None:
    windows = BlindWindows([window(0, 10), window(20, 30, Cause.CLOCK_SET_BACK)])
    assert windows.all.within(at(25), at(25)) is not None
    assert windows.silent.within(at(25), at(25)) is None
    assert windows.silent.within(at(5), at(25)) == Span(at(0), at(10))


def test_names_the_windows_that_overlap() -> None:
    first, second = window(0, 10), window(20, 30)
    windows = BlindWindows([first, second])
    assert windows.overlapping([Span(at(10), at(15))]) == [first]
    assert windows.overlapping([Span(at(10), at(15)), Span(at(18), at(25))]) == [first, second]
    assert windows.overlapping([]) == []


@given(
    st.lists(st.tuples(st.integers(0, 100), st.integers(0, 20))),
    st.integers(0, 120),
    st.integers(0, 30),
)
def test_merged_spans_answer_as_each_of_them_would(
    pairs: list[tuple[int, int]], start: int, length: int
) -> None:
    merged = spans(*((begin, begin + size) for begin, size in pairs))
    found = merged.within(at(start), at(start + length))
    hit = [(b, b + size) for b, size in pairs if b <= start + length and b + size >= start]
    assert (found is None) is (not hit)
    if found is not None:
        assert found.start <= min(at(begin) for begin, _ in hit)
        assert found.end >= max(at(end) for _, end in hit)
        assert found.start <= at(start + length)
        assert found.end >= at(start)

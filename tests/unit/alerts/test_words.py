"""Text that is fit to be sent, whatever it was made of."""

import sys
import unicodedata

import pytest

from heartbeat_central.alerts.words import clean, cut, listed

EVERY_CHARACTER = "".join(map(chr, range(sys.maxunicode + 1)))


def test_no_control_character_and_no_lone_surrogate_is_left() -> None:
    left = clean(EVERY_CHARACTER, keep="")
    categories = set(map(unicodedata.category, left))
    assert categories.isdisjoint({"Cc", "Cs"})
    assert len(left) > 1_000_000


def test_nothing_is_left_that_reorders_a_line() -> None:
    reorders = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
    assert reorders.isdisjoint(map(unicodedata.bidirectional, clean(EVERY_CHARACTER)))


def test_letters_and_what_is_to_be_kept_stay() -> None:
    assert clean("a\tשלום\x07\nb", keep="\n\t") == "a\tשלום\nb"


def test_whatever_breaks_a_line_is_a_space_on_a_single_one() -> None:
    assert clean(" a\r\nb\x85c\u2028d\n\n e ", keep="") == "a b c d e"


@pytest.mark.parametrize(
    ("text", "longest", "expected"),
    [
        ("four", 4, "four"),
        ("fourth", 4, "fou…"),
        # Each of these is two units, which are not taken apart.
        ("🌍🌍", 4, "🌍🌍"),
        ("🌍🌍🌍", 4, "🌍…"),
        ("\ud83c\ud83c", 2, "\ud83c\ud83c"),
    ],
)
def test_cut_counts_utf_16_units(text: str, longest: int, expected: str) -> None:
    assert cut(text, longest) == expected


def test_listed_tells_how_many_lines_it_left_out() -> None:
    lines = ["x" * 20] * 3
    assert listed(lines, 63) == lines
    assert listed(lines, 62) == [*lines[:2], "… and 1 more"]
    assert listed(["x" * 18 + "🌍"] * 3, 62) == ["x" * 18 + "🌍"] * 2 + ["… and 1 more"]

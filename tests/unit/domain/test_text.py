"""Texts that every database can store."""

import pytest

from heartbeat_central.domain.text import is_storable, storable


@pytest.mark.parametrize("text", ["", "Bäckup 🔥", "\x01\x1f\x7f\u0085\ufffe\uffff", "\u2028"])
def test_what_can_be_stored_is_left_alone(text: str) -> None:
    assert is_storable(text)
    assert storable(text) == text


@pytest.mark.parametrize("bad", [*map(chr, (0, 0xD800, 0xDBFF, 0xDC00, 0xDFFF))])
def test_what_can_not_be_stored_is_found_and_replaced(bad: str) -> None:
    assert not is_storable(f"a{bad}b")
    assert storable(f"a{bad}{bad}b") == "a\ufffd\ufffdb"
    assert storable(f"a{bad}b").encode()

"""Secrets at rest."""

import pytest

from heartbeat_central.storage.secrets import SecretBox, WrongSecretKey


def test_what_was_sealed_opens_with_the_same_key() -> None:
    sealed = SecretBox(["key"]).seal({"url": "https://example.com/token"})
    assert "token" not in sealed
    assert SecretBox(["key"]).open(sealed) == {"url": "https://example.com/token"}


def test_an_older_key_still_opens() -> None:
    sealed = SecretBox(["old"]).seal({"a": 1})
    assert SecretBox(["new", "old"]).open(sealed) == {"a": 1}


def test_another_key_says_what_to_do() -> None:
    sealed = SecretBox(["key"]).seal({"a": 1})
    with pytest.raises(WrongSecretKey, match="set the former SECRET_KEY"):
        SecretBox(["other"]).open(sealed)


@pytest.mark.parametrize("damaged", ["", "x", "ü🔥", "{}", "gAAAAA"])
def test_what_nobody_sealed_is_opened_by_no_key(damaged: str) -> None:
    box = SecretBox(["key"])
    assert not box.opens(damaged)
    with pytest.raises(WrongSecretKey):
        box.open(damaged)

"""What a text must not hold, so that every database can store it.

PostgreSQL stores no U+0000, and half of a surrogate pair has no UTF-8 form.
"""

import re

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def is_storable(text: str) -> bool:
    """Return whether every database can store it."""
    return _UNSTORABLE.search(text) is None


def storable(text: str) -> str:
    """Return it with U+FFFD in place of what can't be stored: others said it, and wrote what they liked."""
    return _UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", text)

"""Making text fit to be sent: no control characters, not too long, nothing that reorders a line."""

import re
from collections.abc import Iterable

_LONGEST_EXCERPT = 200
# Control characters (Cc), lone surrogates (Cs), and bidirectional controls, which can make a line read
# as something else; letters of right-to-left scripts stay.
_UNFIT = re.compile(
    r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)


def clean(text: str, *, keep: str = "\n") -> str:
    """Return `text` without control characters (but those in `keep`), lone surrogates and
    characters that reorder a line. Whatever breaks a line becomes a line feed, or a space."""
    text = re.sub(r"\r\n|[\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]", "\n", text)
    if "\n" not in keep:
        text = re.sub(r"[\n\t ]+", " ", text).strip()
    return _UNFIT.sub(lambda found: found[0] if found[0] in keep else "", text)


def one_line(text: str) -> str:
    """Return `text` on a single line."""
    return clean(text, keep="")


def cut(text: str, longest: int) -> str:
    """Return `text`, or its beginning and `…`, in at most `longest` UTF-16 units.

    That is how JavaScript and most chat services count; it is never fewer than characters.
    """
    if _units(text) <= longest:
        return text
    kept = []
    room = longest - 1
    for char in text:
        room -= _units(char)
        if room < 0:
            break
        kept.append(char)
    return "".join(kept).rstrip() + "…"


def listed(lines: Iterable[str], room: int) -> list[str]:
    """Return the lines that fit into `room` UTF-16 units with a line break each, the first ones first.

    When some are left out, a last line says how many: `… and 37 more`.
    """
    lines = list(lines)
    kept: list[str] = []
    for number, line in enumerate(lines):
        rest = len(lines) - number - 1
        # The line that tells of the rest must still fit behind this one.
        room -= _units(line) + 1
        if room < (_units(_more(rest)) + 1 if rest else 0):
            return [*kept, _more(rest + 1)]
        kept.append(line)
    return kept


def excerpt(body: bytes, content_type: str = "") -> str:
    """Return the beginning of a response body on one line; HTML without its tags."""
    text = body[:4096].decode("utf-8", "replace")
    if "html" in content_type.lower() or text.lstrip()[:1] == "<":
        text = re.sub(r"<(script|style)\b.*?(</\1>|$)|<[^>]*(>|$)", " ", text, flags=re.S | re.I)
    return cut(one_line(text.replace("\ufffd", "?")), _LONGEST_EXCERPT)


def _more(count: int) -> str:
    return f"… and {count} more"


def _units(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2

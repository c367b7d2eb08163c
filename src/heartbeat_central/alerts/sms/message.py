"""A text message that is short and cheap. Pure."""

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from heartbeat_central.alerts.words import one_line
from heartbeat_central.domain.alert import (
    Alert,
    AlertKind,
    cause,
    clock,
    last_heartbeat,
    rows,
    subject,
    summary,
)

# GSM 03.38, basic character set. One character outside of it makes the whole message UCS-2, which
# holds less than half as much.
_GSM = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_GSM_TWICE = frozenset("^{}\\[~]|€")
"""These take two places."""
LONGEST_GSM = 306
LONGEST_UCS2 = 134
"""Two messages joined: 2 x 153 and 2 x 67 places."""
LONGEST_LISTED_NAME = 30
FEW = 3
"""Names in a digest that are worth more than its sentence."""
SHORTEST = 20
"""Places that what happened needs at least."""
_PLAINER = str.maketrans(
    {
        "‘": "'",
        "’": "'",
        "“": '"',
        "”": '"',
        "„": '"',
        "–": "-",
        "—": "-",
        "…": "...",
        "`": "'",
        "\u00a0": " ",
        "•": "-",
        "→": "->",
    }
)


def build_text(alert: Alert) -> str:
    """Return the message: what, why and the link, which is never cut; what fits of the rest."""
    link = one_line(alert.dashboard_url)
    if alert.digest is not None:
        return _digest_text(alert, link)
    words = _plainer(one_line(_headline(alert)))
    size = _GSM_SIZE if _is_gsm(words + link) else _UCS2_SIZE
    room = size.longest - size.places(link) - 1
    if room < SHORTEST:
        # Half a link is no use, and a link alone tells nothing.
        return _cut(words, size, size.longest)
    for sentence in _details(alert):
        if size.places(f"{words} {sentence}") <= room:
            words = f"{words} {sentence}"
    return f"{_cut(words, size, room)}\n{link}"


def _digest_text(alert: Alert, link: str) -> str:
    """Return the message in the alphabet in which it names more applications."""
    listed = rows(alert)
    names = [name for row in listed if (name := _plainer(one_line(row.label)))]
    plain = [name for name in names if _is_gsm(name)]
    title = _plainer(one_line(subject(alert)))
    sentence = _plainer(one_line(f"{alert.note} {summary(alert)}"))
    tried = [_naming(names, len(listed), [f"{title}. {sentence}", title], link, _UCS2_SIZE)]
    if _is_gsm(title + link):
        leads = [f"{title}. {sentence}", title] if _is_gsm(sentence) else [title]
        tried.insert(0, _naming(plain, len(listed), leads, link, _GSM_SIZE))
    return max(tried, key=lambda one: one[0])[1]


def _naming(
    names: Sequence[str], of: int, leads: Sequence[str], link: str, size: "_Size"
) -> tuple[int, str]:
    """Return how many of the names fit, and the message, which counts the rest of all `of`.

    It begins with the first lead that leaves room for a few names, else with the last.
    """
    room = size.longest - size.places(link) - 1
    if room < SHORTEST:
        return 0, _cut(leads[-1], size, size.longest)
    short = [_cut(name, size, LONGEST_LISTED_NAME) for name in names]
    for words in leads:
        fitting, text = 0, words
        begin = words if words.endswith((".", "!", "?")) else f"{words}:"
        for count in range(1, len(short) + 1):
            more = f" and {of - count} more" if count < of else ""
            longer = f"{begin} {', '.join(short[:count])}{more}"
            if size.places(longer) > room:
                break
            fitting, text = count, longer
        if fitting >= min(FEW, of) and size.places(text) <= room:
            break
    return fitting, f"{_cut(text, size, room)}\n{link}"


def _headline(alert: Alert) -> str:
    if alert.application is None:
        return f"{subject(alert)}. {summary(alert)}"
    if alert.kind is AlertKind.DOWN and alert.incident is not None:
        return f"{subject(alert)} {cause(alert.incident)}."
    return f"{alert.kind.value.upper()}: {summary(alert)}"


def _details(alert: Alert) -> list[str]:
    """Return sentences in GSM characters, the most wanted first."""
    if alert.incident is None or alert.application is None:
        return []
    sentences = [alert.note] if alert.note and _is_gsm(alert.note) else []
    sentences.append(f"Down since {clock(alert.incident.opened_at)}.")
    if alert.kind is AlertKind.UP:
        sentences.append(f"It {cause(alert.incident)}.")
    last = last_heartbeat(alert, alert.incident)
    sentences.append(f"{last.label}: {last.value}.")
    return sentences


def _plainer(words: str) -> str:
    """Return `words` in GSM characters when nothing but decoration is lost by that."""
    plain = words.translate(_PLAINER)
    undecorated = "".join(
        char
        for char in unicodedata.normalize("NFC", plain)
        if unicodedata.category(char) not in ("So", "Sk", "Cf", "Mn")
    )
    stripped = "".join(_without_accent(char) for char in undecorated)
    return " ".join(stripped.split()) if _is_gsm(stripped) else words


def _without_accent(char: str) -> str:
    if _is_gsm(char):
        return char
    base = unicodedata.normalize("NFKD", char)[0]
    return base if _is_gsm(base) else char


def _is_gsm(words: str) -> bool:
    return all(char in _GSM or char in _GSM_TWICE for char in words)


def _gsm_places(words: str) -> int:
    return len(words) + sum(char in _GSM_TWICE for char in words)


def _ucs2_places(words: str) -> int:
    return len(words) + sum(char > "\uffff" for char in words)


@dataclass(frozen=True, slots=True)
class _Size:
    longest: int
    places: Callable[[str], int]
    mark: str


_GSM_SIZE = _Size(LONGEST_GSM, _gsm_places, "...")
_UCS2_SIZE = _Size(LONGEST_UCS2, _ucs2_places, "…")


def _cut(words: str, size: _Size, room: int) -> str:
    if size.places(words) <= room:
        return words
    # A character takes a place at least.
    words = words[:room]
    while size.places(words) > room - len(size.mark):
        words = words[:-1]
    return words.rstrip() + size.mark

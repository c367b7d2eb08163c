"""A text message that is short and cheap. Pure."""

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

from heartbeat_central.alerts.words import one_line
from heartbeat_central.domain.alert import Alert, AlertKind, cause, clock, subject, summary

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
    words = _plainer(one_line(_headline(alert)))
    link = one_line(alert.dashboard_url)
    size = _GSM_SIZE if _is_gsm(words + link) else _UCS2_SIZE
    room = size.longest - size.places(link) - 1
    if room < SHORTEST:
        # Half a link is no use, and a link alone tells nothing.
        return _cut(words, size, size.longest)
    for sentence in _details(alert):
        if size.places(f"{words} {sentence}") <= room:
            words = f"{words} {sentence}"
    return f"{_cut(words, size, room)}\n{link}"


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
    sentences = [f"Down since {clock(alert.incident.opened_at)}."]
    if alert.kind is AlertKind.UP:
        sentences.append(f"It {cause(alert.incident)}.")
    sentences.append(f"Last heartbeat: {clock(alert.application.last_heartbeat)}.")
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
    while size.places(words) > room - len(size.mark):
        words = words[:-1]
    return words.rstrip() + size.mark

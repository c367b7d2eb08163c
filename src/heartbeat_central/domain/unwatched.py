"""What channels are told of applications that can't be watched, and that they can be again. Pure."""

from collections.abc import Sequence
from datetime import timedelta

from heartbeat_central.domain.digest import (
    MOST_ENTRIES,
    Digest,
    DigestEntry,
    DigestTopic,
    ListedApplication,
)

GATHERING = timedelta(seconds=5)
"""Until the first of them are told: an update that takes a time zone away takes it from many at once."""
PAUSE = timedelta(minutes=1)
"""Between two digests of a project: what follows is gathered."""


def digests(listed: Sequence[ListedApplication]) -> list[Digest]:
    """Return what to tell a channel, in several digests when one can't hold the list.

    `listed` are applications whose problem is new, and those that had one and have none any more.
    """
    ordered = sorted(listed, key=lambda one: (one.name, one.id))
    bad = [one for one in ordered if one.problem is not None]
    good = [one for one in ordered if one.problem is None]
    return [
        *(_digests(f"NOT WATCHED: {_who(bad)}", _of_problems(bad), bad) if bad else ()),
        *(_digests(f"WATCHED AGAIN: {_who(good)}", _of_mended(good), good) if good else ()),
    ]


def _digests(title: str, sentence: str, listed: Sequence[ListedApplication]) -> list[Digest]:
    parts = [listed[start : start + MOST_ENTRIES] for start in range(0, len(listed), MOST_ENTRIES)]
    return [
        Digest(
            topic=DigestTopic.NOT_WATCHED,
            title=title + (f" ({number} of {len(parts)})" if len(parts) > 1 else ""),
            sentence=sentence,
            entries=tuple(DigestEntry(application=one) for one in part),
        )
        for number, part in enumerate(parts, 1)
    ]


def _who(listed: Sequence[ListedApplication]) -> str:
    return listed[0].name if len(listed) == 1 else f"{len(listed)} applications"


def _of_problems(bad: Sequence[ListedApplication]) -> str:
    one = len(bad) == 1
    return (
        f"{_who(bad)} can't be watched: what is stored of {'it' if one else 'them'} can't be used."
        f" Nobody is told when {'it misses' if one else 'they miss'} a heartbeat until"
        f" {'its' if one else 'their'} settings are corrected."
    )


def _of_mended(good: Sequence[ListedApplication]) -> str:
    one = len(good) == 1
    return (
        f"{_who(good)} {'is' if one else 'are'} watched again:"
        f" what is stored of {'it' if one else 'them'} can be used."
    )

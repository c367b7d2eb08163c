"""Dead letters: what a project's other channels are told when one of them could not deliver. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from heartbeat_central.domain.alert import Alert, AlertKind, subject, summary
from heartbeat_central.domain.digest import (
    MOST_ENTRIES,
    Digest,
    DigestEntry,
    DigestTopic,
    ListedApplication,
)
from heartbeat_central.domain.incident import Incident

PAUSE = timedelta(minutes=1)
"""Between two notices about one channel: the first is told at once, what follows is gathered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """An alert that a channel could not deliver."""

    alert: Alert
    reason: str


def has_fallback(alert: Alert) -> bool:
    """Return whether other channels are told when this alert dies.

    A test is told to whoever made it. What already tells of a dead letter has no fallback of its own,
    so that channels that all fail don't go on telling each other.
    """
    if alert.kind is AlertKind.TEST:
        return False
    return alert.digest is None or alert.digest.topic is not DigestTopic.DEAD_LETTER


def notice(
    channel: str,
    letters: Sequence[DeadLetter],
    current: Mapping[int, tuple[ListedApplication, Incident]],
) -> Digest:
    """Return what to tell of alerts that the channel of that name could not deliver.

    `current` holds, by the incident's id, the outages that they tell of as they are now.
    """
    entries = _entries(letters, current)
    last = letters[-1]
    reason = last.reason.rstrip(". ")
    if len(letters) == 1:
        title = f"NOT DELIVERED through {channel}: {subject(last.alert)}"
        sentence = (
            f"The channel {channel} could not deliver this alert: {summary(last.alert)} "
            f"The reason: {reason}."
        )
    else:
        title = f"NOT DELIVERED through {channel}: {len(letters)} alerts"
        sentence = (
            f"The channel {channel} could not deliver {len(letters)} alerts. "
            f"The reason, the last time: {reason}."
        )
    if len(entries) > MOST_ENTRIES:
        sentence += f" Of {len(entries)} outages the list holds the newest."
    return Digest(
        topic=DigestTopic.DEAD_LETTER,
        title=title,
        sentence=sentence,
        entries=tuple(entries[-MOST_ENTRIES:]),
    )


def incidents_of(alert: Alert) -> list[int]:
    """Return the ids of the outages that an alert tells of."""
    if alert.digest is not None:
        return [incident.id for incident in alert.digest.incidents()]
    return [alert.incident.id] if alert.incident is not None else []


def _entries(
    letters: Sequence[DeadLetter], current: Mapping[int, tuple[ListedApplication, Incident]]
) -> list[DigestEntry]:
    """Return each outage once, in the order in which they began, and what is about no outage."""
    outages: dict[int, DigestEntry] = {}
    others: dict[int, DigestEntry] = {}
    for letter in letters:
        for id_ in incidents_of(letter.alert):
            if id_ in current:
                application, incident = current[id_]
                outages[id_] = DigestEntry(application=application, incident=incident)
        if letter.alert.digest is not None:
            for entry in letter.alert.digest.entries:
                if entry.incident is None:
                    others[entry.application.id] = entry
    began = sorted(outages)
    return [*others.values(), *(outages[id_] for id_ in began)]

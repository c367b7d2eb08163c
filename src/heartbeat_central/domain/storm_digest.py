"""What becomes of the alerts of a storm that were held: one digest for each channel. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from heartbeat_central.domain.alert import AlertKind, span
from heartbeat_central.domain.digest import (
    MOST_ENTRIES,
    Digest,
    DigestEntry,
    DigestTopic,
    ListedApplication,
)
from heartbeat_central.domain.incident import Incident


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """An alert of a storm that waits for a channel's digest, seen as things are now."""

    delivery_id: int
    kind: AlertKind
    """DOWN or UP."""
    application: ListedApplication | None
    """None: deleted meanwhile."""
    incident: Incident | None
    """None: deleted with its application."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What becomes of the alerts that a channel's digest waited for. All three are disjoint."""

    cancelled: Sequence[int] = ()
    """Deliveries about deleted applications."""
    released: Sequence[int] = ()
    """Deliveries that go out as they are: there is nothing to merge them with."""
    digests: Sequence["MergedDigest"] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MergedDigest:
    """A digest, and the deliveries that it takes the place of."""

    digest: Digest
    merged: Sequence[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """What else the sentences tell."""

    told: Sequence[tuple[ListedApplication, Incident]] = ()
    """Outages of the storm that the channel heard of one by one, before its first digest."""
    still_down: int = 0
    """Applications whose outage of this storm goes on, of those that the channel hears of."""
    first: bool = True
    """Whether the channel has had no digest of this storm yet."""
    doubted: bool = False
    """Whether a node could itself not reach out while the digest was due."""


def plan(held: Sequence[Held], about: Circumstances) -> Plan:
    """Return what to do with the alerts that one channel's digest waited for.

    Every outage is told: in the digest, or by its own alert when it is the only one.
    """
    cancelled = [one.delivery_id for one in held if one.application is None or one.incident is None]
    by_incident: dict[int, _Outage] = {}
    for one in held:
        if one.application is not None and one.incident is not None:
            outage = by_incident.setdefault(one.incident.id, _outage(one.application, one.incident))
            outage.deliveries.append(one.delivery_id)
            outage.is_new |= one.kind is AlertKind.DOWN
    # Listed again in the first digest, so that it shows the whole.
    told = {
        incident.id: _outage(application, incident, is_new=True)
        for application, incident in about.told
        if incident.id not in by_incident
    }
    if len(by_incident) + len(told) <= 1:
        released = [id_ for outage in by_incident.values() for id_ in outage.deliveries]
        return Plan(cancelled=cancelled, released=released)
    outages = sorted((by_incident | told).values(), key=_Outage.order)
    return Plan(cancelled=cancelled, digests=list(_digests(outages, about)))


def _outage(
    application: ListedApplication, incident: Incident, *, is_new: bool = False
) -> "_Outage":
    entry = DigestEntry(application=application, incident=incident)
    return _Outage(entry, incident, is_new=is_new)


@dataclass(slots=True)
class _Outage:
    entry: DigestEntry
    incident: Incident
    deliveries: list[int] = field(default_factory=list)
    is_new: bool = False
    """Whether its beginning is told now, rather than only its end."""

    @property
    def is_over(self) -> bool:
        return self.incident.closed_at is not None

    def order(self) -> tuple[bool, datetime, int]:
        return self.is_over, self.incident.opened_at, self.incident.id


def _digests(outages: Sequence[_Outage], about: Circumstances) -> Iterator[MergedDigest]:
    new = [outage for outage in outages if outage.is_new]
    title, sentence = _of_outages(new, outages, about) if new else _of_recoveries(outages, about)
    if about.doubted:
        sentence = f"{sentence} {DOUBTED}"
    parts = [
        outages[start : start + MOST_ENTRIES] for start in range(0, len(outages), MOST_ENTRIES)
    ]
    for number, part in enumerate(parts, 1):
        which = f" ({number} of {len(parts)})" if len(parts) > 1 else ""
        yield MergedDigest(
            digest=Digest(
                topic=DigestTopic.STORM,
                title=title + which,
                sentence=sentence,
                entries=tuple(outage.entry for outage in part),
            ),
            merged=[id_ for outage in part for id_ in outage.deliveries],
        )


DOUBTED = (
    "Heartbeat Central could not reach out itself meanwhile: the cause may be its own network."
)


def _of_outages(
    new: Sequence[_Outage], outages: Sequence[_Outage], about: Circumstances
) -> tuple[str, str]:
    """Return title and sentence when outages are told of for the first time."""
    over = sum(outage.is_over for outage in new)
    if over == len(new):
        title = f"UP: {_applications(over)} went down together, likely a shared cause"
    else:
        title = f"DOWN: {_applications(len(new))}, likely a shared cause"
    if about.first:
        began = [outage.incident.opened_at for outage in new]
        within = span(max(max(began) - min(began), timedelta(seconds=1)))
        said = [f"{_applications(len(new))} went down within {within}: likely a shared cause."]
    else:
        said = [f"{_applications(len(new), 'more ')} went down: likely a shared cause."]
    if over:
        said.append(f"{over} of them {_are(over)} not down any more.")
    recovered = len(outages) - len(new)
    if recovered:
        said.append(f"{recovered} that went down before {_are(recovered)} not down any more.")
    if not about.first:
        said.append(f"{about.still_down} {_are(about.still_down)} down now.")
    return title, " ".join(said)


def _of_recoveries(outages: Sequence[_Outage], about: Circumstances) -> tuple[str, str]:
    """Return title and sentence when all that is told of are ends of outages."""
    count = len(outages)
    said = [f"{_applications(count)} that went down together {_are(count)} up again."]
    if about.still_down:
        said.append(f"{about.still_down} {_are(about.still_down)} still down.")
    return f"UP: {_applications(count)} that went down together", " ".join(said)


def _applications(count: int, more: str = "") -> str:
    return f"{count} {more}application{'' if count == 1 else 's'}"


def _are(count: int) -> str:
    return "is" if count == 1 else "are"

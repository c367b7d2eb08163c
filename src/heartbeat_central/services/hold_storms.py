"""Recognises storms and holds their alerts back for a digest, inside the caller's transaction."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import structlog

from heartbeat_central.domain import storm as rules
from heartbeat_central.domain.alert import AlertKind
from heartbeat_central.domain.incident import Incident
from heartbeat_central.storage import held_alerts, storms
from heartbeat_central.storage.engine import Connection
from heartbeat_central.storage.storms import Storm

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """An outage that began or ended in this transaction, and the deliveries that tell of it."""

    project_id: int
    kind: AlertKind
    """DOWN or UP."""
    incident: Incident
    deliveries: Sequence[tuple[int, int]]
    """(delivery id, channel id)"""


def hold_storms(connection: Connection, saved: Iterable[Saved], *, now: datetime) -> None:
    """Hold the alerts of storms back until their digest is due; leave all others alone.

    An outage is part of a storm when it makes one together with those around it, or begins while
    one lasts; its recovery then is as well. What was decided before a storm was recognised joins it
    when nobody has begun to send it.
    """
    downs: dict[int, list[Saved]] = {}
    ups: dict[int, Saved] = {}
    for one in saved:
        if one.kind is AlertKind.DOWN:
            downs.setdefault(one.project_id, []).append(one)
        elif one.deliveries:
            ups[one.incident.id] = one
    recovered = _by_storm(connection, ups)
    projects = {*downs, *(one.project_id for many in recovered.values() for one in many)}
    if not projects:
        return
    storms.lock_projects(connection, projects)
    for project_id in sorted(downs):
        _outages(connection, project_id, downs[project_id], now)
    # An outage that began in this very batch may be over already.
    for storm_id, many in sorted(_by_storm(connection, ups).items()):
        _recoveries(connection, storm_id, many, now)


def _by_storm(connection: Connection, ups: dict[int, Saved]) -> dict[int, list[Saved]]:
    if not ups:
        return {}
    found: dict[int, list[Saved]] = {}
    for incident_id, storm_id in storms.storms_of(connection, list(ups)).items():
        found.setdefault(storm_id, []).append(ups[incident_id])
    return found


def _outages(
    connection: Connection, project_id: int, saved: Sequence[Saved], now: datetime
) -> None:
    openings = [one.incident.opened_at for one in saved]
    storm = storms.latest(connection, project_id)
    is_new = storm is None or storm.last_down_at <= max(openings) - rules.SPAN
    if is_new:
        until = rules.densest(openings)
        if not _is_storm(connection, project_id, until):
            return
        storm = storms.add(connection, project_id, began_at=until - rules.SPAN, last_down_at=until)
        log.warning("storm_recognised", project=project_id, storm=storm.id)
    assert storm is not None
    storm = replace(storm, last_down_at=max(storm.last_down_at, *openings))
    storms.adopt(connection, storm, [one.incident.id for one in saved])
    joining = _joining(connection, storm, saved, is_new=is_new)
    storms.save(connection, _held(connection, storm, AlertKind.DOWN, joining, now))


def _is_storm(connection: Connection, project_id: int, until: datetime) -> bool:
    went_down = storms.count_down(
        connection, project_id, after=until - rules.SPAN, until=until, most=rules.MANY
    )
    if went_down < rules.FEWEST:
        return False
    watched = rules.ENOUGH
    if went_down < rules.MANY:
        watched = storms.count_watched(connection, project_id, most=rules.ENOUGH)
    return rules.is_storm(went_down=went_down, watched=watched)


def _joining(
    connection: Connection, storm: Storm, saved: Sequence[Saved], *, is_new: bool
) -> list[int]:
    """Return the deliveries that belong to the storm from now on.

    A channel that hears of a single outage is told as always, at once; with the second it is in.
    """
    new = {delivery: channel for one in saved for delivery, channel in one.deliveries}
    channels = set(new.values())
    inside = held_alerts.channels_inside(connection, storm.id, channels)
    if channels <= inside and not is_new:
        return list(new)
    heard = held_alerts.heard(
        connection,
        storm.id,
        after=storm.began_at,
        channel_ids=None if is_new else channels - inside,
    )
    outages: dict[int, set[int]] = {}
    for one in heard:
        outages.setdefault(one.channel_id, set()).add(one.incident_id)
    return [
        *(delivery for delivery, channel in new.items() if channel in inside),
        *(one.delivery_id for one in heard if len(outages[one.channel_id]) >= rules.HEARD_OF),
    ]


def _recoveries(
    connection: Connection, storm_id: int, saved: Sequence[Saved], now: datetime
) -> None:
    storm = storms.lock(connection, storm_id)
    if storm is None:
        return
    new = {delivery: channel for one in saved for delivery, channel in one.deliveries}
    inside = held_alerts.channels_inside(connection, storm.id, set(new.values()))
    joining = [delivery for delivery, channel in new.items() if channel in inside]
    storms.save(connection, _held(connection, storm, AlertKind.UP, joining, now))


def _held(
    connection: Connection, storm: Storm, kind: AlertKind, joining: Sequence[int], now: datetime
) -> Storm:
    """Let deliveries belong to the storm, and return it with the time of its digest."""
    if not joining:
        return storm
    digest_at = storm.digest_at
    digests = rules.digests_so_far(
        last_digest_at=storm.last_digest_at, digests=storm.digests, now=now
    )
    if digest_at is None:
        digest_at = rules.digest_at(
            kind, last_digest_at=storm.last_digest_at, digests=digests, now=now
        )
    held = held_alerts.enter(connection, storm.id, joining, held_until=digest_at + rules.FALLBACK)
    if not held:
        return storm
    return replace(storm, digest_at=digest_at, digests=digests, held_since=storm.held_since or now)

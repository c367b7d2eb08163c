"""Puts the digests of storms into the outbox when they are due, in place of the alerts they held."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from datetime import datetime

import structlog

from heartbeat_central.domain import storm as rules
from heartbeat_central.domain.alert import Alert, AlertKind
from heartbeat_central.domain.digest import Digest, ListedApplication
from heartbeat_central.domain.errors import StorageUnavailable
from heartbeat_central.domain.incident import Incident
from heartbeat_central.domain.storm_digest import Circumstances, Held, Plan, plan
from heartbeat_central.services.list_outages import list_outages
from heartbeat_central.storage import held_alerts, outbox, storms
from heartbeat_central.storage.engine import Connection, Database
from heartbeat_central.storage.held_alerts import Waiting
from heartbeat_central.storage.outbox import NewAlert
from heartbeat_central.storage.storms import Storm

log = structlog.get_logger(__name__)


def tell_storms(
    database: Database, *, now: datetime, base_url: str, reaches_out: Callable[[], bool]
) -> int:
    """Tell the digests that are due; return how many deliveries were added or set free to be sent.

    When `reaches_out` says that this node can't reach the world itself, they wait for one that can,
    for a while: what looks like a storm may then be the own network, and nothing would arrive.
    Any number of nodes may run this at once; each digest is told by one of them.
    """
    with database.read() as connection:
        due = storms.due(connection, now)
    if not due:
        return 0
    doubted = not reaches_out()
    return sum(_tell(database, storm_id, doubted, now, base_url) for storm_id in due)


def next_storm_digest(database: Database) -> datetime | None:
    """Return when the next digest is due: one look at an index."""
    with database.read() as connection:
        return storms.next_digest_at(connection)


def _tell(database: Database, storm_id: int, doubted: bool, now: datetime, base_url: str) -> int:
    try:
        with database.write() as connection:
            storm = storms.lock(connection, storm_id)
            if storm is None or storm.digest_at is None or storm.digest_at > now:
                # Another node was faster.
                return 0
            if doubted:
                storm = replace(storm, doubted_at=storm.doubted_at or now)
                if storm.held_since is not None and now < storm.held_since + rules.PATIENCE:
                    log.warning("storm_doubted", storm=storm.id)
                    storms.save(connection, replace(storm, digest_at=now + rules.DOUBT))
                    return 0
            return _put_digests(connection, storm, now, base_url)
    except StorageUnavailable:
        raise
    except Exception:
        # A digest that can't be made must not cost people the alerts that it would have held.
        log.exception("storm_digest_failed", storm=storm_id)
        with database.write() as connection:
            storm = storms.lock(connection, storm_id)
            if storm is not None:
                storms.save(connection, _told(storm, False, now))
            return held_alerts.release_all(connection, storm_id, now=now)


def _put_digests(connection: Connection, storm: Storm, now: datetime, base_url: str) -> int:
    waiting = held_alerts.waiting(connection, storm.id)
    by_channel: dict[int, list[Waiting]] = {}
    for one in waiting:
        by_channel.setdefault(one.channel_id, []).append(one)
    first = set(by_channel) - held_alerts.channels_with_digest(connection, storm.id)
    told = _told_alone(connection, storm, first) if first else {}
    still_down = held_alerts.still_down(connection, storm.id)
    known = list_outages(
        connection,
        {one.incident_id for one in waiting}.union(*told.values()),
        now=now,
        base_url=base_url,
    )
    plans = {}
    for channel_id, held in by_channel.items():
        about = Circumstances(
            told=[known[id_] for id_ in told.get(channel_id, ()) if id_ in known],
            still_down=still_down.get(channel_id, 0),
            first=channel_id in first,
            doubted=storm.doubted_at is not None,
        )
        plans[channel_id] = plan([_seen(one, known) for one in held], about)
    added = _save(connection, storm, plans, now, base_url)
    log.warning("storm_told", storm=storm.id, alerts=len(waiting), deliveries=added)
    return added


def _told_alone(
    connection: Connection, storm: Storm, channel_ids: Collection[int]
) -> dict[int, list[int]]:
    """Return the outages of which these channels were told by an alert each, by channel."""
    told = held_alerts.told_alone(connection, storm.id, channel_ids)
    # Some did not enter the storm, because their row was locked: a sender was just taking them, or
    # recording what came of it.
    for one in held_alerts.heard(
        connection, storm.id, after=storm.began_at, channel_ids=channel_ids
    ):
        if not one.is_unsent:
            told.setdefault(one.channel_id, []).append(one.incident_id)
    return told


def _save(
    connection: Connection, storm: Storm, plans: Mapping[int, Plan], now: datetime, base_url: str
) -> int:
    """Save what was decided for each channel; return how many deliveries may be sent now."""
    cancelled = [id_ for one in plans.values() for id_ in one.cancelled]
    released = [id_ for one in plans.values() for id_ in one.released]
    held_alerts.cancel(connection, cancelled, because="the application was deleted", now=now)
    held_alerts.release(connection, released, now=now)
    digests = [(channel_id, merged) for channel_id, one in plans.items() for merged in one.digests]
    ids = outbox.add_many(
        connection,
        [
            NewAlert(storm.project_id, _alert(merged.digest, now, base_url), [channel_id])
            for channel_id, merged in digests
        ],
    )
    for digest_id, (_, one) in zip(ids, digests, strict=True):
        held_alerts.merge(connection, one.merged, into=digest_id, now=now)
    storms.save(connection, _told(storm, bool(digests), now))
    return len(released) + len(digests)


def _told(storm: Storm, with_digest: bool, now: datetime) -> Storm:
    over = replace(storm, held_since=None, digest_at=None, doubted_at=None)
    return replace(over, digests=storm.digests + 1, last_digest_at=now) if with_digest else over


def _alert(digest: Digest, now: datetime, base_url: str) -> Alert:
    return Alert(kind=AlertKind.DIGEST, digest=digest, dashboard_url=f"{base_url}/", created_at=now)


def _seen(one: Waiting, known: Mapping[int, tuple[ListedApplication, Incident]]) -> Held:
    application, incident = known.get(one.incident_id, (None, None))
    return Held(
        delivery_id=one.delivery_id, kind=one.kind, application=application, incident=incident
    )

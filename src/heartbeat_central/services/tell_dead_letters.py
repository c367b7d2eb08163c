"""When a channel could not deliver, the project's other channels tell of it, once."""

from datetime import datetime

import structlog

from heartbeat_central.domain.alert import Alert, AlertKind
from heartbeat_central.domain.dead_letter import PAUSE, incidents_of, notice
from heartbeat_central.services.list_outages import list_outages
from heartbeat_central.storage import dead_letters, outbox
from heartbeat_central.storage.dead_letters import FailedChannel
from heartbeat_central.storage.engine import Connection, Database

AT_ONCE = 500
"""Dead letters that one notice tells of."""

log = structlog.get_logger(__name__)


def tell_dead_letters(database: Database, *, now: datetime, base_url: str) -> int:
    """Put a notice for each channel that failed into the outbox; return how many deliveries it takes.

    The first dead letter is told at once; while more follow, a notice at most every PAUSE gathers
    them. Without any other active channel they are only shown. Any number of nodes may run this.
    """
    with database.read() as connection:
        # Mostly there are none: no write transaction, so no disk is touched.
        if not dead_letters.is_any_untold(connection):
            return 0
    with database.write() as connection:
        failed = dead_letters.failed_channels(connection, told_before=now - PAUSE)
        return sum(_tell(connection, channel, now, base_url) for channel in failed)


def _tell(connection: Connection, channel: FailedChannel, now: datetime, base_url: str) -> int:
    letters = dead_letters.untold(connection, channel.id, most=AT_ONCE)
    others = dead_letters.other_channels(connection, channel)
    added = 0
    told = [letter for _, letter in letters if letter is not None]
    if told and others:
        current = list_outages(
            connection,
            {id_ for letter in told for id_ in incidents_of(letter.alert)},
            now=now,
            base_url=base_url,
        )
        alert = Alert(
            kind=AlertKind.DIGEST,
            digest=notice(channel.name, told, current),
            dashboard_url=f"{base_url}/channels/{channel.id}",
            created_at=now,
        )
        added = len(
            outbox.add(connection, project_id=channel.project_id, alert=alert, channel_ids=others)
        )
    dead_letters.set_told(connection, channel, [id_ for id_, _ in letters], now=now)
    log.warning("dead_letters", channel=channel.id, count=len(letters), told_through=added)
    return added

"""After a blind window: one digest for each channel, with the applications that are uncertain."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog

from heartbeat_central.domain import state as machine
from heartbeat_central.domain.alert import Alert, AlertKind
from heartbeat_central.domain.blind_window import BlindWindow
from heartbeat_central.domain.digest import DigestEntry
from heartbeat_central.domain.interruption import digests
from heartbeat_central.services.listed import listed
from heartbeat_central.storage import applications, blind_windows, incidents, outbox, states
from heartbeat_central.storage.engine import Connection, Database
from heartbeat_central.storage.outbox import NewAlert
from heartbeat_central.storage.states import Watched

PAGE = 5_000
"""Applications that are looked at in one go."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Named:
    """An application that a digest names."""

    project_id: int
    channel_ids: Sequence[int]
    entry: DigestEntry


def tell_blind_windows(database: Database, *, now: datetime, base_url: str) -> int:
    """Write the digests that are due; return how many deliveries that added.

    A window has one as soon as a deadline passed that it excuses (`detect_missed`). It names whoever a
    heartbeat may have been lost of in the window and who has not been heard from since; when all have
    been, there is nothing to tell.
    """
    with database.read() as connection:
        windows = blind_windows.to_digest(connection, now=now)
    return sum(_tell(database, window, now, base_url) for window in windows)


def _tell(database: Database, window: BlindWindow, now: datetime, base_url: str) -> int:
    assert window.id is not None
    with database.read() as connection:
        named = [
            one
            for page in _unheard(connection, window)
            for one in _named(connection, window, page, now, base_url)
        ]
    with database.write() as connection:
        # Another process may have been faster.
        if not blind_windows.digested(connection, window.id, now=now):
            return 0
        added = outbox.add_many(connection, _alerts(window, named, now, base_url))
    log.info("blind_window_told", window=window.id, applications=len(named), alerts=len(added))
    return len(added)


def _unheard(connection: Connection, window: BlindWindow) -> Iterator[list[Watched]]:
    after_id = 0
    while page := states.unheard_since(connection, window.ended_at, after_id=after_id, most=PAGE):
        after_id = page[-1].id
        yield page


def _named(
    connection: Connection,
    window: BlindWindow,
    unheard: Sequence[Watched],
    now: datetime,
    base_url: str,
) -> Iterator[_Named]:
    """Yield those of whom a heartbeat may have been lost in the window."""
    windows = blind_windows.since(connection, min(map(_silent_since, unheard)))
    uncertain = [
        one for one in unheard if window in machine.may_have_lost(one.timing, one.state, windows)
    ]
    ids = [one.id for one in uncertain]
    loaded = applications.load_many(connection, ids)
    outages = incidents.open_of(connection, ids)
    subscribed = outbox.subscribed_channels(connection, ids)
    for one in uncertain:
        if one.id in loaded and one.id in subscribed:
            entry = DigestEntry(
                application=listed(loaded[one.id], one.state, now=now, base_url=base_url),
                incident=outages.get(one.id),
            )
            yield _Named(one.project_id, subscribed[one.id], entry)


def _silent_since(one: Watched) -> datetime:
    return machine.silent_since(one.state)


def _alerts(
    window: BlindWindow, named: Sequence[_Named], now: datetime, base_url: str
) -> list[NewAlert]:
    """Return the digests, each channel's with the applications that are subscribed to it."""
    by_channel: dict[int, list[_Named]] = {}
    for one in named:
        for channel_id in one.channel_ids:
            by_channel.setdefault(channel_id, []).append(one)
    return [
        NewAlert(
            listed[0].project_id,
            Alert(
                kind=AlertKind.DIGEST,
                digest=digest,
                dashboard_url=f"{base_url}/",
                created_at=now,
            ),
            [channel_id],
        )
        for channel_id, listed in by_channel.items()
        for digest in digests(window, [one.entry for one in listed])
    ]

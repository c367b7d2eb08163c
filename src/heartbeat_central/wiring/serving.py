"""One process of the service, from its parts to its end."""

import importlib
import os
import socket
from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from functools import partial

import structlog

from heartbeat_central.domain.errors import StorageUnavailable
from heartbeat_central.domain.work import EVERYTHING, Work
from heartbeat_central.ingest import server
from heartbeat_central.ingest.elsewhere import Elsewhere
from heartbeat_central.ingest.lifespan import Lifespan
from heartbeat_central.ingest.probes import Probes
from heartbeat_central.ingest.responses import AsgiApp
from heartbeat_central.metrics import Figure, Shared
from heartbeat_central.services.check_health import check_health
from heartbeat_central.services.count_all import count_all
from heartbeat_central.settings import Settings
from heartbeat_central.wiring.parts import Parts, build, clock
from heartbeat_central.wiring.receiving import Receiving, proven_elsewhere

GIVES_WAY = 10
"""How much nicer a process of pages alone is: where processors are short it gets a tenth of their share."""

log = structlog.get_logger(__name__)

Call = Callable[[], None]


def serve(
    settings: Settings,
    *,
    does: Collection[Work] = EVERYTHING,
    sockets: Sequence[socket.socket] | None = None,
    shared: Shared | None = None,
) -> None:
    """Do this work in this process until SIGTERM or SIGINT. The tables must be in place.

    It listens on `sockets`, or where the settings say. `shared` is given to one of several workers.
    Raises SettingsError and Invalid.
    """
    if frozenset(does) == {Work.WEB} and hasattr(os, "nice"):
        # Whoever reads a page can wait a moment; a heartbeat and an alert should not.
        os.nice(GIVES_WAY)
    parts = build(settings, shared)
    app, on_stopping = _build(parts, does)
    server.run(
        app, host=settings.host, port=settings.port, sockets=sockets, on_stopping=on_stopping
    )


def preload(does: Collection[Work]) -> None:
    """Import what `serve` will need: workers that are forked afterwards share it in memory."""
    if Work.WEB in does:
        importlib.import_module("heartbeat_central.wiring.pages")
    if Work.WEB in does or Work.MONITOR in does:
        importlib.import_module("heartbeat_central.wiring.telling")


def _build(parts: Parts, does: Collection[Work]) -> tuple[AsgiApp, Call]:
    """Return the application of this process, the monitor started, and what to call before it ends."""
    stops: list[Call] = [parts.database.close]
    before_stop: list[Call] = []
    doorbell: Call = _nobody
    proven_until: Callable[[datetime], datetime | None] = partial(proven_elsewhere, parts.database)
    receiving = None
    live: AsgiApp
    rest: AsgiApp
    if Work.RECORD in does or Work.WEB in does:
        # A heartbeat that is sent to the pages by mistake is recorded: a wrong route loses nothing.
        receiving = Receiving(parts, proves=Work.RECORD in does)
        stops.insert(0, receiving.close)
        before_stop.append(receiving.stop)
        if Work.RECORD in does:
            proven_until = receiving.proven_until
    if Work.WEB in does or Work.MONITOR in does:
        from heartbeat_central.wiring import telling

        database = parts.database
        if Work.MONITOR in does:
            database = telling.monitor_database(parts)
            stops.insert(0, database.close)
        sender = telling.build_sender(parts.settings, database)
    if Work.MONITOR in does:
        monitor = telling.build_monitor(parts, database, sender, proven_until, does)
        monitor.start()
        doorbell = monitor.ring
        before_stop.append(monitor.begin_to_stop)
        if receiving is not None:
            receiving.on_news = monitor.noticed
        stops.insert(0, monitor.stop)
    if Work.WEB in does:
        from heartbeat_central.wiring import pages

        streams = pages.build_live(parts)
        live = streams
        before_stop.append(streams.close)
        rest = pages.build_pages(parts, sender, doorbell)
    else:
        (only,) = does
        live = rest = Elsewhere(only)
    rest = Probes(
        check=lambda: check_health(parts.database, parts.vitals, does=does, now=clock()),
        measure=lambda: parts.metrics.as_text(_figures(parts, does)),
        rest=rest,
    )
    end, stop = partial(_all, before_stop), partial(_all, stops)
    if receiving is None:
        return Lifespan(rest, on_stop=stop), end
    return receiving.edge(doorbell, live=live, rest=rest, on_stop=stop), end


def _figures(parts: Parts, does: Collection[Work]) -> Sequence[Figure]:
    """Return the figures of the database, where they are this process's business."""
    if Work.MONITOR not in does:
        return ()
    try:
        return count_all(parts.database, now=clock())
    except StorageUnavailable as error:
        # What was counted here is worth the more while the database is away.
        log.warning("figures_missing", reason=str(error))
        return ()


def _all(calls: Sequence[Call]) -> None:
    for call in calls:
        call()


def _nobody() -> None:
    """Stand for the monitor, or for open pages, where this process has none."""

"""One process of the service, from its parts to its end."""

import importlib
import socket
from collections.abc import Callable, Collection, Sequence

import structlog

from heartbeat_central.domain.errors import StorageUnavailable
from heartbeat_central.domain.work import EVERYTHING, Work
from heartbeat_central.ingest import server
from heartbeat_central.ingest.batcher import Batcher
from heartbeat_central.ingest.clients import ClientAddress
from heartbeat_central.ingest.edge import Edge
from heartbeat_central.ingest.elsewhere import Elsewhere
from heartbeat_central.ingest.lifespan import Lifespan
from heartbeat_central.ingest.probes import Probes
from heartbeat_central.ingest.responses import AsgiApp
from heartbeat_central.metrics import Figure, Shared
from heartbeat_central.services.check_health import check_health
from heartbeat_central.services.count_all import count_all
from heartbeat_central.services.recorder import Recorder
from heartbeat_central.settings import Settings
from heartbeat_central.storage.engine import open_database
from heartbeat_central.storage.touches import open_touch_store
from heartbeat_central.wiring.parts import Parts, build, clock

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
    """Return the application of this process, the monitor started, and what to call before it stops."""
    stops: list[Call] = [parts.database.close]
    stopping: list[Call] = []
    doorbell: Call = _nobody
    live: AsgiApp
    rest: AsgiApp
    if Work.WEB in does or Work.MONITOR in does:
        from heartbeat_central.wiring import telling

        sender = telling.build_sender(parts.settings, parts.database)
    if Work.MONITOR in does:
        monitor = telling.build_monitor(parts, sender)
        monitor.start()
        doorbell = monitor.ring
        stopping.append(monitor.begin_to_stop)
        stops.insert(0, monitor.stop)
    if Work.WEB in does:
        from heartbeat_central.wiring import pages

        streams = pages.build_live(parts)
        stopping.append(streams.close)
        live = streams
        rest = pages.build_pages(parts, sender, doorbell)
    else:
        (only,) = does
        live = rest = Elsewhere(only)
    rest = Probes(
        check=lambda: check_health(parts.database, parts.vitals, does=does, now=clock()),
        measure=lambda: parts.metrics.as_text(_figures(parts, does)),
        rest=rest,
    )
    # A heartbeat that was sent to the pages by mistake is recorded: a wrong route loses nothing.
    if Work.RECORD in does or Work.WEB in does:
        app: AsgiApp = _edge(parts, doorbell, live=live, rest=rest, stops=stops)
    else:
        app = Lifespan(rest, on_stop=lambda: _all(stops))
    return app, lambda: _all(stopping)


def _edge(parts: Parts, doorbell: Call, *, live: AsgiApp, rest: AsgiApp, stops: list[Call]) -> Edge:
    # A connection of its own on PostgreSQL: busy pages and senders must not make heartbeats wait.
    # SQLite has one writer, so that there they share one lock instead.
    database = parts.database
    if database.dialect == "postgresql":
        database = open_database(parts.settings.database_url, pool_size=1)
        stops.append(database.close)
    touches = open_touch_store(database)
    stops.insert(0, touches.close)
    recorder = Recorder(database, touches, base_url=parts.settings.base_url)
    batcher = Batcher(
        lambda signals: recorder.record(signals, now=clock()),
        on_wake=doorbell,
        metrics=parts.metrics,
    )
    return Edge(
        batcher=batcher,
        clock=clock,
        body_limit=parts.settings.body_limit,
        client_address=ClientAddress(parts.settings.trusted_proxies),
        live=live,
        rest=rest,
        on_stop=lambda: _all(stops),
    )


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

"""Runs the edge on uvicorn, and ends it within ten seconds without losing what was accepted."""

import gc
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

import structlog
import uvicorn

from heartbeat_central.ingest.joined_writes import JoiningProtocol
from heartbeat_central.ingest.responses import AsgiApp

DRAIN = 5
"""Seconds that requests under way may take to end, of the ten a stopping service has."""
LONGEST_STOP = 9.0
"""Seconds after which a stopping service ends, whatever still hangs. That loses nothing: what was
answered is stored, and what was not recorded as sent is sent again."""
SWITCH_INTERVAL = 0.0005
"""Seconds. Python's default of 5 ms lets one thread that renders a page hold up every heartbeat."""
COLLECT_AFTER = (10_000, 10, 10)
"""Objects until Python looks for cycles among them. Its default, 700, is reached with every batch, though
a heartbeat leaves no cycle; with ten times more, a look would take milliseconds."""

log = structlog.get_logger(__name__)


class _Server(uvicorn.Server):
    """Ends the open live-update streams first: they would never end by themselves."""

    def __init__(self, config: uvicorn.Config, *, on_stopping: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_stopping = on_stopping

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take the signals that end the service, from here on: what they ask for is done by then.

        uvicorn's own would raise them again at the end, and we would end with a bad status.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self.handle_exit)
        yield

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if not self.should_exit:
            _end_within(LONGEST_STOP)
        super().handle_exit(sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._on_stopping()
        await super().shutdown(sockets)


def _end_within(seconds: float) -> None:
    """End this process then, unless it has ended by itself."""

    def end() -> None:
        log.warning("stopped_with_work_left", after=seconds)
        # No sys.exit: it would wait for the very threads that hang.
        os._exit(0)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()


def run(
    app: AsgiApp,
    *,
    host: str,
    port: int,
    sockets: Sequence[socket.socket] | None = None,
    on_stopping: Callable[[], None],
) -> None:
    """Serve `app` until SIGTERM or SIGINT, then return.

    It listens on `sockets` when they are given, else on `host` and `port`.
    """
    sys.setswitchinterval(SWITCH_INTERVAL)
    # What is there now stays. Collections that went through all of it would stop every thread for 60 ms,
    # just when many alerts are built.
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        http=JoiningProtocol,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        lifespan="on",
        ws="none",
        backlog=2048,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=DRAIN,
    )
    _Server(config, on_stopping=on_stopping).run(None if sockets is None else list(sockets))

"""The beginning and the end of a process that takes no heartbeats."""

import asyncio
from collections.abc import Callable

from heartbeat_central.ingest.responses import AsgiApp, Receive, Scope, Send


class Lifespan:
    """Hands requests to `app` and calls `on_stop`, in a thread, once the last one is answered."""

    def __init__(self, app: AsgiApp, *, on_stop: Callable[[], None]) -> None:
        self._app = app
        self._on_stop = on_stop

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._app(scope, receive, send)
        elif scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await asyncio.to_thread(self._on_stop)
            await send({"type": "lifespan.shutdown.complete"})

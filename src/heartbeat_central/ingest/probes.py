"""/health for load balancers and /metrics for Prometheus. Both need no key and tell no names.

Every process answers them by itself and from the event loop, so that neither a busy page nor a kind
of work that is done elsewhere stands between a process and whoever watches it.
"""

import asyncio
import json
from collections.abc import Callable
from typing import Generic, TypeVar

import structlog

from heartbeat_central.ingest.responses import (
    AsgiApp,
    Receive,
    Scope,
    Send,
    respond,
    respond_with_problem,
)
from heartbeat_central.services.check_health import Health

Found = TypeVar("Found")

JSON = b"application/json"
OPEN_METRICS = b"text/plain; version=0.0.4; charset=utf-8"
PATHS = ("/health", "/health/ready", "/health/live", "/metrics")

log = structlog.get_logger(__name__)


class Probes:
    """Answers PATHS; all else goes to `rest`.

    `check` returns the health of this process, `measure` its metrics as text. Both may block: they
    run in a thread, and whoever asks meanwhile gets the same answer.
    """

    def __init__(
        self, *, check: Callable[[], Health], measure: Callable[[], bytes], rest: AsgiApp
    ) -> None:
        self._health = _Shared(check)
        self._metrics = _Shared(measure)
        self._rest = rest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope["path"]
        if path not in PATHS:
            await self._rest(scope, receive, send)
        elif scope["method"] not in ("GET", "HEAD"):
            await respond_with_problem(
                scope, send, 405, "this address takes GET, HEAD", (b"allow", b"GET, HEAD")
            )
        elif path == "/health/live":
            await respond(scope, send, 200, b'{"status":"ok"}', JSON)
        elif path == "/metrics":
            await self._tell_metrics(scope, send)
        else:
            await self._tell_health(scope, send)

    async def _tell_health(self, scope: Scope, send: Send) -> None:
        found = await self._health()
        for name, part in found.parts.items():
            if not part.ok:
                log.warning("unhealthy", part=name, reason=part.detail)
        body = json.dumps(found.public().as_json()).encode()
        await respond(scope, send, 200 if found.ok else 503, body, JSON)

    async def _tell_metrics(self, scope: Scope, send: Send) -> None:
        await respond(scope, send, 200, await self._metrics(), OPEN_METRICS)


class _Shared(Generic[Found]):
    """Runs `work` in a thread, once for all who ask while it runs."""

    def __init__(self, work: Callable[[], Found]) -> None:
        self._work = work
        self._running: asyncio.Task[Found] | None = None

    async def __call__(self) -> Found:
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(asyncio.to_thread(self._work))
        # Shielded: one who goes away must not take the answer from the others.
        return await asyncio.shield(self._running)

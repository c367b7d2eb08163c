"""Live updates as server-sent events: one question to the database per second, however many pages
are open, and none while there are none."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any

import structlog

from heartbeat_central.domain.errors import HeartbeatCentralError

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

PERIOD = 1.0
"""Seconds between two looks for changes."""
LONGEST_SILENCE = 15
"""Looks without a change after which pages look anyway: an application becomes late by the clock
alone. It also keeps proxies from closing the stream."""

log = structlog.get_logger(__name__)


class LiveUpdates:
    """Serves `/events`: an event `changed` whenever something that the pages show has changed.

    `project_of(cookie)` returns the project of a session cookie, or None; `fingerprint(project)`
    returns a value that differs when the project's pages would, or will in a moment. Both may block: they
    run in threads.
    """

    def __init__(
        self,
        *,
        cookie_name: str,
        project_of: Callable[[str], int | None],
        fingerprint: Callable[[int], Hashable],
    ) -> None:
        self._cookie_name = cookie_name
        self._project_of = project_of
        self._fingerprint = fingerprint
        self._listeners: dict[int, set[asyncio.Queue[bytes]]] = {}
        self._watchers: dict[int, asyncio.Task[None]] = {}
        self._looked: dict[int, asyncio.Event] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        project_id = await self._authorised(scope)
        if project_id is None:
            await _refuse(send)
            return
        events: asyncio.Queue[bytes] = asyncio.Queue(maxsize=8)
        self._listeners.setdefault(project_id, set()).add(events)
        if project_id not in self._watchers:
            self._looked[project_id] = asyncio.Event()
            self._watchers[project_id] = asyncio.create_task(self._watch(project_id))
        try:
            # A change after the stream has begun is one that the first look doesn't hold yet.
            await self._looked[project_id].wait()
            await _stream(events, receive, send)
        finally:
            self._leave(project_id, events)

    def close(self) -> None:
        """End every stream, so that a stopping server does not wait for open pages."""
        for listeners in self._listeners.values():
            for events in listeners:
                if not events.full():
                    events.put_nowait(b"")
        for project_id, watcher in self._watchers.items():
            watcher.cancel()
            self._looked[project_id].set()

    async def _authorised(self, scope: Scope) -> int | None:
        cookies: SimpleCookie = SimpleCookie()
        for name, value in scope["headers"]:
            if name == b"cookie":
                try:
                    cookies.load(value.decode("latin-1"))
                except CookieError:
                    return None
        session = cookies.get(self._cookie_name)
        if session is None:
            return None
        try:
            return await asyncio.to_thread(self._project_of, session.value)
        except HeartbeatCentralError:
            return None

    def _leave(self, project_id: int, events: "asyncio.Queue[bytes]") -> None:
        listeners = self._listeners[project_id]
        listeners.discard(events)
        if not listeners:
            del self._listeners[project_id], self._looked[project_id]
            self._watchers.pop(project_id).cancel()

    async def _watch(self, project_id: int) -> None:
        looked = self._looked[project_id]
        last: Hashable = None
        changed = False
        quiet = 0
        while True:
            try:
                seen = await asyncio.to_thread(self._fingerprint, project_id)
            except HeartbeatCentralError as error:
                log.warning("live_updates_blind", reason=str(error))
                seen = last
            finally:
                looked.set()
            # Told twice: what was about to be seen at the first look is there at the next.
            again, changed = changed, last is not None and seen != last
            if changed or again or quiet >= LONGEST_SILENCE:
                self._tell(project_id, b"event: changed\ndata: {}\n\n")
                quiet = 0
            last = seen
            quiet += 1
            await asyncio.sleep(PERIOD)

    def _tell(self, project_id: int, event: bytes) -> None:
        for events in self._listeners.get(project_id, ()):
            # A page that does not read loses repetitions of the same news, and nothing else.
            if not events.full():
                events.put_nowait(event)


async def _stream(events: "asyncio.Queue[bytes]", receive: Receive, send: Send) -> None:
    await send(
        {
            "type": "http.response.start",
            "status": 200,
            "headers": [
                (b"content-type", b"text/event-stream; charset=utf-8"),
                (b"cache-control", b"no-store"),
                (b"x-accel-buffering", b"no"),
            ],
        }
    )
    await _chunk(send, b"retry: 2000\n\n")
    gone = asyncio.create_task(_disconnected(receive))
    try:
        while True:
            event = asyncio.create_task(events.get())
            done, _ = await asyncio.wait({gone, event}, return_when=asyncio.FIRST_COMPLETED)
            if gone in done:
                event.cancel()
                return
            if not event.result():
                await send({"type": "http.response.body", "body": b""})
                return
            await _chunk(send, event.result())
    finally:
        gone.cancel()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _chunk(send: Send, body: bytes) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": True})


async def _refuse(send: Send) -> None:
    await send(
        {
            "type": "http.response.start",
            "status": 401,
            "headers": [(b"content-type", b"text/plain"), (b"content-length", b"0")],
        }
    )
    await send({"type": "http.response.body", "body": b""})

"""The ASGI application in front: heartbeats here, live updates here, every other path to Flask."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime

from heartbeat_central.domain.errors import Invalid, StorageUnavailable
from heartbeat_central.domain.moment import isoformat
from heartbeat_central.ingest.batcher import Batcher
from heartbeat_central.ingest.clients import ClientAddress
from heartbeat_central.ingest.parse import parse_path, parse_signal
from heartbeat_central.ingest.responses import (
    NO_STORE,
    AsgiApp,
    Message,
    Receive,
    Scope,
    Send,
    respond_with_problem,
)
from heartbeat_central.services.record_signals import Outcome

LARGEST_BODY = 1024 * 1024
"""Bytes; a request with more is refused with 413."""
_RETRY_AFTER = (b"retry-after", b"2")
"""Seconds that a refused client should wait."""

_METHODS = ("GET", "HEAD", "POST")
_JSON = (b"content-type", b"application/json")
_BEGIN = b'{"status":"ok","timestamp":"'
_BEGIN_PAUSED = b'{"status":"paused","timestamp":"'
_END = b'"}'
_LENGTH_OF_TIMESTAMP = len("2026-11-23T12:00:00.123456+00:00")


class BodyTooLarge(Exception):
    """The request's body is over LARGEST_BODY."""


class ClientGone(Exception):
    """The client closed the connection before its request was complete."""


class Edge:
    """Answers `/heartbeat/*` itself; `/events` and everything else go to the applications given."""

    def __init__(
        self,
        *,
        batcher: Batcher,
        clock: Callable[[], datetime],
        body_limit: int,
        client_address: ClientAddress,
        live: AsgiApp,
        rest: AsgiApp,
        on_start: Callable[[], None],
        on_stop: Callable[[], None],
    ) -> None:
        self._batcher = batcher
        self._clock = clock
        self._body_limit = body_limit
        self._client_address = client_address
        self._live = live
        self._rest = rest
        self._on_start = on_start
        self._on_stop = on_stop

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        if scope["type"] != "http":
            return
        path: str = scope["path"]
        try:
            if path.startswith("/heartbeat/"):
                await self._heartbeat(scope, receive, send)
            elif path == "/events":
                await self._live(scope, receive, send)
            else:
                client = self._client_address(scope)
                seen = {
                    "client": client and (client, 0),
                    "scheme": self._client_address.scheme(scope),
                }
                await self._rest({**scope, **seen}, receive, send)
        except asyncio.CancelledError:
            # Only a server that stops cancels a request, when it has taken too long. One whose answer
            # has begun can't be given another.
            with suppress(RuntimeError):
                await respond_with_problem(
                    scope, send, 503, "the service is stopping; try again", _RETRY_AFTER
                )

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        """Start the writer before the first request, and end it after the last."""
        await receive()
        self._batcher.start()
        self._on_start()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._batcher.stop()
        await asyncio.to_thread(self._on_stop)
        await send({"type": "lifespan.shutdown.complete"})

    async def _heartbeat(self, scope: Scope, receive: Receive, send: Send) -> None:
        received_at = self._clock()
        method: str = scope["method"]
        if method not in _METHODS:
            await respond_with_problem(
                scope, send, 405, "use GET, HEAD or POST", (b"allow", b"GET, HEAD, POST")
            )
            return
        try:
            body = await _read_body(scope, receive)
        except BodyTooLarge:
            await respond_with_problem(
                scope, send, 413, "the body may have 1 MiB at most; send the end of your log"
            )
            return
        except ClientGone:
            return
        target = parse_path(scope["path"])
        if target is None:
            await _not_found(scope, send)
            return
        try:
            signal = parse_signal(
                target,
                method=method,
                query=scope["query_string"],
                body=body,
                body_limit=self._body_limit,
                user_agent=_user_agent(scope),
                remote_address=self._client_address(scope),
                received_at=received_at,
            )
            outcome = await self._batcher.submit(signal)
        except Invalid as invalid:
            await respond_with_problem(scope, send, 400, str(invalid))
            return
        except StorageUnavailable as unavailable:
            await _unavailable(scope, send, str(unavailable))
            return
        await _answer(scope, send, outcome, received_at)


def _start(begin: bytes) -> Message:
    length = len(begin) + _LENGTH_OF_TIMESTAMP + len(_END)
    headers = [(b"content-length", str(length).encode()), _JSON, NO_STORE]
    return {"type": "http.response.start", "status": 200, "headers": headers}


# Made once: nothing in them differs from one heartbeat to the next.
_STORED = _start(_BEGIN)
_STORED_PAUSED = _start(_BEGIN_PAUSED)


async def _answer(scope: Scope, send: Send, outcome: Outcome, received_at: datetime) -> None:
    match outcome:
        case Outcome.STORED:
            begin, start = _BEGIN, _STORED
        case Outcome.PAUSED:
            begin, start = _BEGIN_PAUSED, _STORED_PAUSED
        case Outcome.UNKNOWN:
            await _not_found(scope, send)
            return
        case Outcome.FAILED:
            await _unavailable(scope, send, "this heartbeat could not be stored")
            return
    body = b"" if scope["method"] == "HEAD" else begin + _timestamp(received_at) + _END
    await send(start)
    await send({"type": "http.response.body", "body": body})


def _timestamp(received_at: datetime) -> bytes:
    text = isoformat(received_at)
    assert text is not None
    return text.encode()


async def _not_found(scope: Scope, send: Send) -> None:
    # One answer for malformed, unknown and deleted, so that nobody can tell which uuids exist.
    await respond_with_problem(scope, send, 404, "no application has this heartbeat URL")


async def _unavailable(scope: Scope, send: Send, why: str) -> None:
    await respond_with_problem(scope, send, 503, f"not stored, try again: {why}", _RETRY_AFTER)


async def _read_body(scope: Scope, receive: Receive) -> bytes:
    """Return the whole body. Raises BodyTooLarge as soon as that is known, ClientGone."""
    length = _declared_length(scope)
    if length == 0:
        return b""
    if length is not None and length > LARGEST_BODY:
        # Who asks with `Expect: 100-continue` is spared the sending.
        raise BodyTooLarge
    chunks = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > LARGEST_BODY:
            raise BodyTooLarge
        chunks.append(chunk)
        if not message.get("more_body", False):
            return b"".join(chunks)


def _declared_length(scope: Scope) -> int | None:
    """Return the bytes of the body as its headers say, None when it comes in chunks."""
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value)
        if name == b"transfer-encoding":
            return None
    return 0


def _user_agent(scope: Scope) -> str | None:
    for name, value in scope["headers"]:
        if name == b"user-agent":
            text: str = value.decode("utf-8", "replace")
            return text
    return None

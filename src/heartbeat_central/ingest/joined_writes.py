"""An answer leaves in one piece: uvicorn writes its head and its body one after the other.

Each write is a call of the kernel that sends a packet and wakes the client, in the one thread that answers
everybody, and with Python's lock held: that was a third of the time that this lock was held at all.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class JoinedWrites:
    """A transport that keeps what is written until the event loop comes round again."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._kept: list[bytes] = []

    def write(self, data: bytes) -> None:
        """Send `data` with all that is written before the loop comes round."""
        if not self._kept:
            self._loop.call_soon(self._send)
        self._kept.append(data)

    def close(self) -> None:
        """Send what is kept, then close."""
        self._send()
        self._transport.close()

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def __getattr__(self, name: str) -> Any:
        # Everything else is the transport's own.
        return getattr(self._transport, name)

    def _send(self) -> None:
        kept, self._kept = self._kept, []
        # The client may have hung up meanwhile.
        if kept and not self._transport.is_closing():
            self._transport.write(b"".join(kept))


class JoiningProtocol(HttpToolsProtocol):
    """uvicorn's protocol on such a transport."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        joined: Any = JoinedWrites(transport, self.loop)
        super().connection_made(joined)

"""A TCP proxy that behaves like a bad network: it delays, cuts, resets and swallows.

It runs in a thread of its own. What is asked of it holds for the connections there are and for those to
come, and is in force when the call returns.
"""

import asyncio
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from types import TracebackType
from typing import Any, Literal, Self

Direction = Literal["both", "to_server", "to_client"]

_CHUNK = 65536


class Proxy:
    """Listens on a free port of 127.0.0.1 and forwards to `port` there; use as a context manager."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._server: asyncio.Server | None = None
        self._links: set[_Link] = set()
        self._delay = 0.0
        self._swallows: frozenset[str] = frozenset()
        self._thawed = asyncio.Event()
        self._thawed.set()
        self.port = 0
        self.accepted = 0

    def __enter__(self) -> Self:
        self._thread.start()
        self._run(self._listen())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    # --- faults --------------------------------------------------------------------------------

    def delay(self, seconds: float) -> None:
        """Forward everything so much later."""
        self._call(lambda: setattr(self, "_delay", seconds))

    def freeze(self) -> None:
        """Let nothing through until `heal`, and lose nothing: as TCP does over a net that was away."""
        self._call(self._thawed.clear)

    def black_hole(self, direction: Direction = "both") -> None:
        """Swallow what comes, as a firewall that has forgotten a connection; nobody is told.

        A connection that has lost bytes stays dead for good; new ones work after `heal`.
        """
        both = {"to_server", "to_client"}
        self._call(
            lambda: setattr(
                self, "_swallows", frozenset(both if direction == "both" else {direction})
            )
        )

    def reset(self) -> None:
        """End every connection with a RST; new ones are let in."""

        def abort_all() -> None:
            for link in list(self._links):
                link.abort()

        self._call(abort_all)

    def cut(self) -> None:
        """End every connection with a FIN and refuse new ones, until `heal`."""
        self._run(self._cut())

    def heal(self) -> None:
        """Be a good network again."""
        self._run(self._heal())

    # --- in the event loop -------------------------------------------------------------------------

    def _run(self, coroutine: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)

    def _call(self, function: Callable[[], object]) -> None:
        async def call() -> None:
            function()

        self._run(call())

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _cut(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for link in list(self._links):
            link.close()
        await asyncio.sleep(0)

    async def _heal(self) -> None:
        self._delay = 0.0
        self._swallows = frozenset()
        self._thawed.set()
        if self._server is None:
            await self._listen()

    async def _close(self) -> None:
        await self._cut()
        # Whoever waits inside must not wait for a healing that never comes.
        self._thawed.set()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        try:
            to_server = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.close()
            return
        link = _Link(writer, to_server[1])
        self._links.add(link)
        try:
            # asyncio's streams log a cancelled handler as an error; only `_close` cancels it.
            with suppress(asyncio.CancelledError):
                await asyncio.gather(
                    self._forward(link, reader, to_server[1], "to_server"),
                    self._forward(link, to_server[0], writer, "to_client"),
                )
        finally:
            self._links.discard(link)
            link.close()

    async def _forward(
        self,
        link: "_Link",
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        direction: str,
    ) -> None:
        with suppress(OSError):
            while data := await reader.read(_CHUNK):
                if self._delay:
                    await asyncio.sleep(self._delay)
                await self._thawed.wait()
                if direction in self._swallows:
                    link.broken.add(direction)
                if direction not in link.broken:
                    writer.write(data)
                    await writer.drain()
        # The end is a message like any other: a black hole swallows it too.
        if direction not in link.broken and direction not in self._swallows:
            link.close()


class _Link:
    """One connection: the client's half and the server's."""

    def __init__(self, *writers: asyncio.StreamWriter) -> None:
        self._writers = writers
        self.broken: set[str] = set()
        """The directions in which bytes were lost."""

    def close(self) -> None:
        for writer in self._writers:
            with suppress(RuntimeError):
                writer.close()

    def abort(self) -> None:
        for writer in self._writers:
            with suppress(OSError):
                writer.get_extra_info("socket").setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
                )
            writer.transport.abort()

"""A TCP server that gives each connection to a function. All threads end with it."""

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self


class TcpReceiver:
    """Listens on a free port of 127.0.0.1; use it as a context manager."""

    def __init__(self, *, tls: ssl.SSLContext | None = None) -> None:
        self.tls = tls
        self.closing = threading.Event()
        self.accepted = 0
        self._connections: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=200)
        self.port: int = self._listener.getsockname()[1]
        self._accepting = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> Self:
        self._accepting.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.closing.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in list(self._connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._accepting.join(5)

    def serve(self, connection: socket.socket) -> None:
        """Deal with one connection; what is raised by its end is ignored."""
        raise NotImplementedError

    def drip(self, connection: socket.socket, data: bytes, *, pause: float = 0.05) -> None:
        """Send one byte at a time, over and over, until the receiver closes or the client goes."""
        while not self.closing.is_set():
            for byte in data:
                connection.sendall(bytes([byte]))
                if self.closing.wait(pause):
                    return

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.accepted += 1
                threading.Thread(target=self._run, args=(connection,), daemon=True).start()

    def _run(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._connections.add(connection)
            try:
                if self.tls is not None:
                    plain = connection
                    connection = self.tls.wrap_socket(plain, server_side=True)
                    self._connections.add(connection)
                    self._connections.discard(plain)
                self.serve(connection)
            finally:
                self._connections.discard(connection)
                connection.close()


class Scripted(TcpReceiver):
    """Does with each connection what a function says: `Scripted(lambda receiver, connection: …)`."""

    def __init__(
        self,
        script: Callable[[TcpReceiver, socket.socket], object],
        *,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        super().__init__(tls=tls)
        self._script = script

    def serve(self, connection: socket.socket) -> None:
        self._script(self, connection)


def reset(connection: socket.socket) -> None:
    """Close so that the other end sees `Connection reset by peer`."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def hang(receiver: TcpReceiver, connection: socket.socket) -> None:
    """Say nothing, for ever."""
    receiver.closing.wait()

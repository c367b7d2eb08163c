"""Connections to checked addresses, and those that wait for the next request."""

import ssl
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from urllib3.connection import HTTPConnection, HTTPSConnection

from heartbeat_central.alerts.sockets import Deadline, TimedSocket, TimedTlsSocket, connect
from heartbeat_central.alerts.urls import Origin


class _OneWrite(HTTPConnection):
    """Writes a request at once, where urllib3 writes its head and then its body.

    Each write lets go of Python's lock twice. In a burst of alerts a hundred threads want it, and so do
    the heartbeats.
    """

    _held: list[bytes] | None = None
    """What there is of the request that is being put together."""

    def send(self, data: Any) -> None:
        """Write, or hold back until the request is complete."""
        if self._held is None:
            super().send(data)
        else:
            self._held.append(data)

    def request(self, *args: Any, **kwargs: Any) -> None:
        """Send a request; its body must be bytes."""
        self._held = []
        try:
            super().request(*args, **kwargs)
            whole = b"".join(self._held)
        finally:
            self._held = None
        self.send(whole)


class PlainConnection(_OneWrite):
    """Connects to the given addresses, and to nothing that the host name may say by then."""

    def __init__(self, origin: Origin, addresses: Sequence[str], deadline: Deadline) -> None:
        super().__init__(origin.host, origin.port, timeout=None)
        self._addresses = addresses
        self._deadline = deadline

    def _new_conn(self) -> TimedSocket:
        return connect(self._addresses, self.port, self._deadline)

    def use(self, deadline: Deadline) -> None:
        """Hold the next exchange to `deadline`."""
        assert isinstance(self.sock, TimedSocket)
        self.sock.deadline = deadline


class TlsConnection(_OneWrite, HTTPSConnection):
    """The same under TLS; the certificate is checked against the host name of the URL."""

    def __init__(
        self,
        origin: Origin,
        addresses: Sequence[str],
        deadline: Deadline,
        ssl_context: ssl.SSLContext,
    ) -> None:
        super().__init__(origin.host, origin.port, timeout=None, ssl_context=ssl_context)
        self._addresses = addresses
        self._deadline = deadline

    def _new_conn(self) -> TimedSocket:
        return connect(self._addresses, self.port, self._deadline)

    def use(self, deadline: Deadline) -> None:
        """Hold the next exchange to `deadline`."""
        assert isinstance(self.sock, TimedTlsSocket)
        self.sock.deadline = deadline


Connection = PlainConnection | TlsConnection


class IdleConnections:
    """Open connections between two requests. For all threads."""

    MOST = 256
    """In all; the oldest are closed first. Far below the usual limit of 1,024 open files."""
    KEPT_FOR = 30.0
    """Seconds. Servers close idle connections themselves, many after a minute; and a host name that
    moves to another address is followed within this time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[Connection, tuple[Origin, float]] = OrderedDict()
        self._by_origin: dict[Origin, list[Connection]] = {}

    def take(self, origin: Origin) -> Connection | None:
        """Return a connection that was alive a moment ago, or None."""
        while True:
            with self._lock:
                surplus = self._expired()
                connection = self._newest(origin)
            for old in surplus:
                old.close()
            if connection is None or connection.is_connected:
                return connection
            connection.close()

    def put(self, origin: Origin, connection: Connection) -> None:
        """Keep a connection whose last response was read to its end."""
        with self._lock:
            self._kept[connection] = (origin, time.monotonic())
            self._by_origin.setdefault(origin, []).append(connection)
            surplus = self._expired()
        for old in surplus:
            old.close()

    def close(self) -> None:
        """Close them all."""
        with self._lock:
            kept = list(self._kept)
            self._kept.clear()
            self._by_origin.clear()
        for connection in kept:
            connection.close()

    def _newest(self, origin: Origin) -> Connection | None:
        mine = self._by_origin.get(origin)
        if not mine:
            return None
        connection = mine[-1]
        self._forget(connection)
        return connection

    def _expired(self) -> list[Connection]:
        old = []
        before = time.monotonic() - self.KEPT_FOR
        while self._kept:
            connection, (_, since) = next(iter(self._kept.items()))
            if since >= before and len(self._kept) <= self.MOST:
                break
            self._forget(connection)
            old.append(connection)
        return old

    def _forget(self, connection: Connection) -> None:
        origin, _ = self._kept.pop(connection)
        mine = self._by_origin[origin]
        mine.remove(connection)
        if not mine:
            del self._by_origin[origin]

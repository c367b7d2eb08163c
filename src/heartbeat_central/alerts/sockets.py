"""Sockets that keep one deadline for a whole exchange.

A socket timeout alone bounds each read; a receiver that sends a byte a second then holds a sender
for hours. These sockets give every read and write only what is left of the deadline.
"""

import errno
import socket
import ssl
import time
from collections.abc import Sequence
from typing import Any

MOST_BYTES = 256 * 1024
"""Received in one exchange: a body up to its cap, and headers or replies of any decent length."""


class Deadline:
    """What one exchange may take: a time on the monotonic clock, and an amount of bytes to receive."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._at = time.monotonic() + seconds
        self._room = MOST_BYTES

    def left(self) -> float:
        """Return the seconds that are left, more than 0. Raises TimeoutError when none are."""
        left = self._at - time.monotonic()
        if left <= 0:
            raise TimeoutError(f"no answer within {self.seconds:g} s")
        return left

    def received(self, count: int) -> int:
        """Return `count`, having taken it off. Raises OSError when that was too much: headers and
        replies without an end would else fill the memory until the time is up."""
        self._room -= count
        if self._room < 0:
            raise OSError(errno.EMSGSIZE, "the answer is too long")
        return count


class TimedSocket(socket.socket):
    """A TCP socket whose reads and writes end at `deadline` (none: as its timeout says)."""

    deadline: Deadline | None = None

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        """Read at most until the deadline."""
        if self.deadline is None:
            return super().recv_into(*args, **kwargs)
        self.settimeout(self.deadline.left())
        return self.deadline.received(super().recv_into(*args, **kwargs))

    def sendall(self, *args: Any, **kwargs: Any) -> None:
        """Write at most until the deadline: the timeout of `sendall` is one for all its writes."""
        if self.deadline is not None:
            self.settimeout(self.deadline.left())
        super().sendall(*args, **kwargs)


class TimedTlsSocket(ssl.SSLSocket):
    """The same under TLS. The handshake is bounded by the timeout that the TCP socket had."""

    deadline: Deadline | None = None

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        """Read at most until the deadline."""
        if self.deadline is None:
            return super().recv_into(*args, **kwargs)
        self.settimeout(self.deadline.left())
        return self.deadline.received(super().recv_into(*args, **kwargs))

    def send(self, *args: Any, **kwargs: Any) -> int:
        """Write at most until the deadline; `sendall` calls this for each piece."""
        if self.deadline is not None:
            self.settimeout(self.deadline.left())
        return super().send(*args, **kwargs)


def tls_context(*, ca_file: str | None = None) -> ssl.SSLContext:
    """Return a client context that verifies certificates and host names, TLS 1.2 or newer.

    Trusted are the system's authorities (or SSL_CERT_FILE, as OpenSSL reads it), or only those in
    `ca_file`.
    """
    context = ssl.create_default_context(cafile=ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.sslsocket_class = TimedTlsSocket
    return context


def unverified_tls_context() -> ssl.SSLContext:
    """Return a context for opportunistic encryption: it keeps out listeners, and proves nothing."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.sslsocket_class = TimedTlsSocket
    return context


def connect(addresses: Sequence[str], port: int, deadline: Deadline) -> TimedSocket:
    """Return a socket connected to the first of the IP `addresses` that accepts.

    An address that does not answer gets only its share of the time, so that the next one has a
    chance. Raises TimeoutError or OSError, the last address's.
    """
    last: OSError = OSError("the name has no address")
    for position, address in enumerate(addresses):
        share = deadline.left() / (len(addresses) - position)
        try:
            return _connect_one(address, port, deadline, share)
        except OSError as error:
            last = error
    raise last


def _connect_one(address: str, port: int, deadline: Deadline, timeout: float) -> TimedSocket:
    family, kind, proto, _, where = socket.getaddrinfo(
        address,
        port,
        type=socket.SOCK_STREAM,
        flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
    )[0]
    sock = TimedSocket(family, kind, proto)
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.settimeout(timeout)
        sock.connect(where)
        sock.settimeout(deadline.left())
    except BaseException:
        sock.close()
        raise
    sock.deadline = deadline
    return sock

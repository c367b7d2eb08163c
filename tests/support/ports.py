"""Ports for servers that tests start."""

import contextlib
import secrets
import socket

_PORTS = range(10_000, 32_768)
"""Below those that Linux and others give to clients."""


def free_port() -> int:
    """Return a port that nobody listens on, and that no client is given until it is used."""
    while True:
        port = secrets.choice(_PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port

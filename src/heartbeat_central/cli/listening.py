"""Whether an address and port can be listened on, found out before anything else is started."""

import os
import socket
import sys
from collections.abc import Callable
from contextlib import ExitStack

from heartbeat_central.cli.failures import CannotListen

BALANCES = sys.platform == "linux"
"""Whether the system shares new connections out over several sockets of one port (SO_REUSEPORT)."""


def check_port(host: str, port: int) -> None:
    """Return when `host` and `port` are free. Raises CannotListen with the reason."""
    for probe in _bound(host, port, shared=False):
        probe.close()


def shared_listening(host: str, port: int) -> Callable[[], list[socket.socket]]:
    """Return what opens the sockets of one process of several that share `host` and `port`.

    They are as many as the addresses that `host` has. Sockets of their own spread connections, also
    those that are kept alive, evenly over the processes; one that all wait at would give most of
    them to whoever wakes up first. Raises CannotListen, then or later.
    """
    if BALANCES:
        return lambda: _bound(host, port, shared=True)
    first = _bound(host, port, shared=False)
    return lambda: [one.dup() for one in first]


def free_port(host: str, favourite: int) -> int:
    """Return `favourite` when it is free, else any port that is."""
    try:
        check_port(host, favourite)
    except CannotListen:
        with socket.socket() as probe:
            probe.bind((host, 0))
            return int(probe.getsockname()[1])
    return favourite


def _bound(host: str, port: int, *, shared: bool) -> list[socket.socket]:
    with ExitStack() as opened:
        sockets = []
        try:
            addresses = socket.getaddrinfo(
                host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )
            for family, kind, protocol, _, address in addresses:
                one = opened.enter_context(socket.socket(family, kind, protocol))
                if os.name == "posix":
                    # As the server does: a port that was just left is free.
                    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    # As asyncio does: 0.0.0.0 and :: are two addresses.
                    one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                if shared:
                    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                one.bind(address)
                one.listen()
                sockets.append(one)
        except OSError as error:
            raise CannotListen(host, port, error) from error
        opened.pop_all()
        return sockets

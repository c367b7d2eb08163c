"""Whether an address and port can be listened on, found out before anything else is started."""

import os
import socket

from heartbeat_central.cli.failures import CannotListen


def check_port(host: str, port: int) -> None:
    """Return when `host` and `port` are free. Raises CannotListen with the reason."""
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, kind, protocol, _, address in addresses:
            with socket.socket(family, kind, protocol) as probe:
                if os.name == "posix":
                    # As the server does: a port that was just left is free.
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
                probe.listen()
    except OSError as error:
        raise CannotListen(host, port, error) from error


def free_port(host: str, favourite: int) -> int:
    """Return `favourite` when it is free, else any port that is."""
    try:
        check_port(host, favourite)
    except CannotListen:
        with socket.socket() as probe:
            probe.bind((host, 0))
            return int(probe.getsockname()[1])
    return favourite

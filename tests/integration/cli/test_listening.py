"""Which sockets a service listens at."""

import contextlib
import socket

import pytest

from heartbeat_central.cli.failures import CannotListen
from heartbeat_central.cli.listening import check_port, shared_listening
from tests.support.ports import free_port


def test_processes_share_a_port_that_nobody_else_gets() -> None:
    port = free_port()
    listen = shared_listening("127.0.0.1", port)
    with contextlib.ExitStack() as opened:
        first, second = (opened.enter_context(listen()[0]) for _ in range(2))
        assert first.getsockname() == second.getsockname()
        with pytest.raises(CannotListen, match="another program is using it"):
            check_port("127.0.0.1", port)
    check_port("127.0.0.1", port)


def test_connections_that_are_kept_alive_are_spread_over_all() -> None:
    port = free_port()
    listen = shared_listening("127.0.0.1", port)
    with contextlib.ExitStack() as opened:
        sockets = [opened.enter_context(listen()[0]) for _ in range(2)]
        for _ in range(64):
            opened.enter_context(socket.create_connection(("127.0.0.1", port), timeout=5))
        taken = [_accepted(one) for one in sockets]
    assert sum(taken) == 64
    # 8 or fewer of 64 at one of two is rarer than one in a thousand million.
    assert min(taken) > 8


def _accepted(listening: socket.socket) -> int:
    listening.setblocking(False)
    count = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            listening.accept()[0].close()
            count += 1
    return count

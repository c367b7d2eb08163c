"""The proxy does to connections what it says, and is a plain proxy otherwise."""

import socket
import time
from collections.abc import Iterator

import pytest

from tests.faults.proxy import Proxy
from tests.support.receivers.tcp import Scripted, TcpReceiver


def echo(_: TcpReceiver, connection: socket.socket) -> None:
    while data := connection.recv(1000):
        connection.sendall(data)


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with Scripted(echo) as server, Proxy(server.port) as proxy:
        yield proxy


def connect(proxy: Proxy, patience: float = 0.2) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=patience)


def says(connection: socket.socket, data: bytes) -> bytes:
    connection.sendall(data)
    return connection.recv(1000)


def test_it_forwards_both_ways(proxy: Proxy) -> None:
    with connect(proxy) as one, connect(proxy) as other:
        assert says(one, b"one") == b"one"
        assert says(other, b"other") == b"other"
        assert says(one, b"again") == b"again"
    assert proxy.accepted == 2


def test_it_delays(proxy: Proxy) -> None:
    with connect(proxy, 2) as connection:
        says(connection, b"warm")
        proxy.delay(0.1)
        begun = time.monotonic()
        assert says(connection, b"late") == b"late"
        assert time.monotonic() - begun >= 0.2


def test_it_freezes_and_loses_nothing(proxy: Proxy) -> None:
    with connect(proxy) as connection:
        assert says(connection, b"a") == b"a"
        proxy.freeze()
        with pytest.raises(TimeoutError):
            says(connection, b"b")
        proxy.heal()
        assert connection.recv(1000) == b"b"


@pytest.mark.parametrize("direction", ["both", "to_server", "to_client"])
def test_a_black_hole_swallows_and_a_connection_stays_dead(proxy: Proxy, direction: str) -> None:
    with connect(proxy) as connection:
        assert says(connection, b"a") == b"a"
        proxy.black_hole(direction)  # type: ignore[arg-type]
        with pytest.raises(TimeoutError):
            says(connection, b"b")
        proxy.heal()
        with pytest.raises(TimeoutError):
            says(connection, b"c")
    with connect(proxy) as connection:
        assert says(connection, b"d") == b"d"


def test_it_resets_and_lets_new_connections_in(proxy: Proxy) -> None:
    with connect(proxy) as connection:
        assert says(connection, b"a") == b"a"
        proxy.reset()
        with pytest.raises(ConnectionResetError):
            connection.recv(1000)
    with connect(proxy) as connection:
        assert says(connection, b"b") == b"b"


def test_it_cuts_and_refuses_until_it_is_healed(proxy: Proxy) -> None:
    with connect(proxy) as connection:
        assert says(connection, b"a") == b"a"
        proxy.cut()
        assert connection.recv(1000) == b""
    with pytest.raises(ConnectionRefusedError):
        connect(proxy)
    proxy.heal()
    with connect(proxy) as connection:
        assert says(connection, b"b") == b"b"

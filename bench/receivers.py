"""Webhook receivers in a process of their own: each takes 200 ms to answer, some never do.

`python -m bench.receivers PORT COUNT DELAY` listens on COUNT ports from PORT on. A path that begins
with /hang is never answered. `GET /arrivals` on the first port tells what came since the last time.
"""

import asyncio
import contextlib
import json
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bench.running import ROOT

_OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@dataclass(frozen=True, slots=True)
class Arrival:
    """One webhook as its receiver saw it."""

    path: str
    first_byte: float
    """Unix time, seconds."""
    body: dict[str, Any]

    @property
    def is_answered(self) -> bool:
        return not self.path.startswith("/hang")


@dataclass(frozen=True, slots=True)
class Receivers:
    """The receivers, seen from the benchmark."""

    urls: list[str]

    def arrivals(self) -> list[Arrival]:
        """Return what has come since this was last called."""
        with urllib.request.urlopen(f"{self.urls[0]}/arrivals", timeout=30) as response:
            seen = json.load(response)
        return [Arrival(path, first_byte, json.loads(body)) for path, first_byte, body in seen]

    def wait_for(self, count: int, *, seconds: float) -> list[Arrival]:
        """Return what comes until `count` have come that get an answer. Raises RuntimeError."""
        arrived: list[Arrival] = []
        end = time.monotonic() + seconds
        while sum(one.is_answered for one in arrived) < count:
            if time.monotonic() > end:
                raise RuntimeError(f"{len(arrived)} of {count} webhooks in {seconds} s")
            time.sleep(0.1)
            arrived += self.arrivals()
        return arrived


@contextlib.contextmanager
def running(count: int, *, delay: float = 0.2) -> Iterator[Receivers]:
    """Run `count` receivers, each on a port of its own."""
    first = _free_ports(count)
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.receivers", str(first), str(count), str(delay)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        process.stdout.readline()
        yield Receivers([f"http://127.0.0.1:{first + number}" for number in range(count)])
    finally:
        process.terminate()
        process.wait(10)


def sleep_until(moment: datetime) -> None:
    time.sleep(max(0, moment.timestamp() - time.time()))


class _Connection(asyncio.Protocol):
    def __init__(self, arrived: list[tuple[str, float, str]], delay: float) -> None:
        self._arrived = arrived
        self._delay = delay
        self._buffer = b""
        self._first_byte = 0.0

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if not self._buffer:
            self._first_byte = time.time()
        self._buffer += data
        head, complete, body = self._buffer.partition(b"\r\n\r\n")
        if not complete or len(body) < _length(head):
            return
        self._buffer = b""
        method, path, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
        if method == "GET":
            said = json.dumps(self._arrived).encode()
            self._arrived.clear()
            self._transport.write(b"HTTP/1.0 200 OK\r\n\r\n" + said)
            self._transport.close()
            return
        self._arrived.append((path, self._first_byte, body.decode()))
        if not path.startswith("/hang"):
            asyncio.get_running_loop().call_later(self._delay, self._answer)

    def _answer(self) -> None:
        if not self._transport.is_closing():
            self._transport.write(_OK)


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


async def _serve(first: int, count: int, delay: float) -> None:
    arrived: list[tuple[str, float, str]] = []
    loop = asyncio.get_running_loop()
    for number in range(count):
        await loop.create_server(
            lambda: _Connection(arrived, delay), "127.0.0.1", first + number, backlog=1024
        )
    print("ready", flush=True)
    await asyncio.Event().wait()


def _free_ports(count: int) -> int:
    """Return the first of `count` neighbouring ports that nobody listens on."""
    for first in range(21_000, 32_000, count):
        with contextlib.ExitStack() as stack:
            try:
                for port in range(first, first + count):
                    probe = stack.enter_context(socket.socket())
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return first
    raise RuntimeError(f"no {count} free ports")


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))

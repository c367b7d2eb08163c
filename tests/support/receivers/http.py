"""An HTTP server that records what it gets and answers as it is told."""

import socket
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from io import BufferedReader

from tests.support.receivers.tcp import TcpReceiver, hang, reset


@dataclass(frozen=True)
class Received:
    """A request as it came over the wire."""

    method: str
    target: str
    headers: Mapping[str, str]
    """Names in lower case."""
    header_lines: list[str] = field(repr=False)
    body: bytes = b""


Answer = Callable[["HttpReceiver", socket.socket], bool]
"""Answers one request; returns whether the connection may serve another."""


class HttpReceiver(TcpReceiver):
    """`answer` may be exchanged at any time; it is looked up for each request."""

    def __init__(self, answer: Answer | None = None, *, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(tls=tls)
        self.answer = answer or respond()
        self.requests: list[Received] = []

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    def serve(self, connection: socket.socket) -> None:
        with connection.makefile("rb") as reader:
            while (request := _read(reader)) is not None:
                self.requests.append(request)
                if not self.answer(self, connection):
                    return


def respond(
    status: int = 200, body: bytes = b"ok", headers: Mapping[str, str] | None = None
) -> Answer:
    """Answer at once and keep the connection."""
    lines = {"Content-Length": str(len(body)), **(headers or {})}
    if status == 204:
        del lines["Content-Length"]
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    data = f"HTTP/1.1 {status} Reason\r\n{head}\r\n".encode() + body

    def answer(receiver: HttpReceiver, connection: socket.socket) -> bool:
        connection.sendall(data)
        return True

    return answer


def raw(data: bytes) -> Answer:
    """Answer with these bytes and close."""

    def answer(receiver: HttpReceiver, connection: socket.socket) -> bool:
        connection.sendall(data)
        return False

    return answer


def resets(receiver: HttpReceiver, connection: socket.socket) -> bool:
    """Break the connection instead of answering."""
    reset(connection)
    return False


def hangs(receiver: HttpReceiver, connection: socket.socket) -> bool:
    """Never answer."""
    hang(receiver, connection)
    return False


def drips_headers(receiver: HttpReceiver, connection: socket.socket) -> bool:
    """Answer a byte at a time, and never get to the end of the headers."""
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    receiver.drip(connection, b"X-Slow: yes\r\n")
    return False


def drips_status(receiver: HttpReceiver, connection: socket.socket) -> bool:
    """Not even the first line is ever complete."""
    receiver.drip(connection, b"H")
    return False


def drips_body(status: int) -> Answer:
    """Answer with a status at once, then a byte of the body at a time."""

    def answer(receiver: HttpReceiver, connection: socket.socket) -> bool:
        connection.sendall(f"HTTP/1.1 {status} Reason\r\n\r\n".encode())
        receiver.drip(connection, b".")
        return False

    return answer


def endless_body(status: int) -> Answer:
    """Answer with a body that has no end."""

    def answer(receiver: HttpReceiver, connection: socket.socket) -> bool:
        connection.sendall(f"HTTP/1.1 {status} Reason\r\n\r\n".encode())
        while not receiver.closing.is_set():
            connection.sendall(b"A" * 65536)
        return False

    return answer


def endless_headers(receiver: HttpReceiver, connection: socket.socket) -> bool:
    """Answer with interim responses for ever, as fast as they are read."""
    while not receiver.closing.is_set():
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000)
    return False


def redirects(status: int) -> Answer:
    """Send the client in circles."""

    def answer(receiver: HttpReceiver, connection: socket.socket) -> bool:
        return respond(status, b"", {"Location": f"{receiver.url}/again"})(receiver, connection)

    return answer


def _read(reader: BufferedReader) -> Received | None:
    first = reader.readline().decode("latin-1").strip()
    if not first:
        return None
    method, target, _ = first.split(" ")
    lines = []
    while line := reader.readline().decode("latin-1").rstrip("\r\n"):
        lines.append(line)
    headers = {
        name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
    }
    body = reader.read(int(headers.get("content-length", "0")))
    return Received(method, target, headers, lines, body)

"""Pages and the REST API have few threads; nobody who is slow may hold them."""

import http.client
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.receivers.http import HttpReceiver, hangs
from tests.support.service import Service, wait_until


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder: Path = tmp_path_factory.mktemp("slow-clients")
    with Service(folder) as running:
        yield running


def head(service: Service, *lines: str) -> bytes:
    return "\r\n".join(
        [
            "POST /api/applications HTTP/1.1",
            f"Host: 127.0.0.1:{service.port}",
            f"X-Api-Key: {service.key}",
            "Content-Type: application/json",
            *lines,
            "",
            "",
        ]
    ).encode()


def test_requests_that_never_end_keep_nobody_waiting(service: Service) -> None:
    with ExitStack() as stack:
        for _ in range(20):
            client = stack.enter_context(
                socket.create_connection(("127.0.0.1", service.port), timeout=5)
            )
            client.sendall(head(service, "Content-Length: 100") + b'{"name":')
        for _ in range(3):
            assert service.api("GET", "/applications") == []


def test_channel_tests_that_hang_keep_nobody_waiting(service: Service) -> None:
    with HttpReceiver(hangs) as receiver:
        channel = service.api(
            "POST",
            "/channels",
            {"name": "deaf", "type": "webhook", "config": {"url": receiver.url}},
        )
        tests = [
            threading.Thread(
                target=service.api, args=("POST", f"/channels/{channel['id']}/test", {})
            )
            for _ in range(4)
        ]
        for test in tests:
            test.start()
        wait_until(lambda: len(receiver.requests) == len(tests), "all tests to be under way")
        for _ in range(3):
            service.api("GET", "/channels")
        assert all(test.is_alive() for test in tests)
    for test in tests:
        test.join(15)


def test_a_body_in_chunks_is_taken_whole(service: Service) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=5)
    body = json.dumps({"name": "in pieces", "expected_interval": 60}).encode()
    connection.request(
        "POST",
        "/api/applications",
        iter([body[:10], body[10:]]),
        {"X-Api-Key": service.key, "Content-Type": "application/json"},
        encode_chunked=True,
    )
    answer = connection.getresponse()
    assert answer.status == 201
    assert json.loads(answer.read())["name"] == "in pieces"
    connection.close()


@pytest.mark.parametrize("told", [True, False])
def test_a_body_that_is_too_large_is_refused_before_it_is_read(
    service: Service, told: bool
) -> None:
    size = 2 * 1024 * 1024 + 1
    with socket.create_connection(("127.0.0.1", service.port), timeout=5) as client:
        if told:
            client.sendall(head(service, f"Content-Length: {size}"))
        else:
            client.sendall(head(service, "Transfer-Encoding: chunked"))
            client.sendall(b"%x\r\n" % size + b" " * size + b"\r\n")
        assert client.recv(4096).startswith(b"HTTP/1.1 413 ")

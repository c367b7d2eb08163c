"""The HTTP client against receivers that misbehave. All on this machine."""

import socket
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from heartbeat_central.alerts.connections import PlainConnection
from heartbeat_central.alerts.http import READ_CAP, HttpClient, HttpRequest
from heartbeat_central.alerts.sockets import Deadline, TimedSocket, tls_context
from heartbeat_central.alerts.urls import Origin
from heartbeat_central.domain.errors import PermanentFailure, TemporaryFailure
from tests.support.receivers import http
from tests.support.receivers.certificates import Certificates
from tests.support.receivers.http import HttpReceiver, respond
from tests.support.receivers.tcp import Scripted, hang

SHORT = 0.4
SOON = 2.5
"""Seconds within which an exchange of SHORT has ended, on a busy machine too."""


def post(url: str, body: bytes = b"{}") -> HttpRequest:
    return HttpRequest(url=url, headers={"Content-Type": "application/json"}, body=body)


def test_sends_the_request_and_returns_the_response(
    client: HttpClient, receiver: HttpReceiver
) -> None:
    receiver.answer = respond(201, b"made", {"X-Id": "5"})

    response = client.send(post(f"{receiver.url}/hook?a=b%20c", b"hello"))

    assert (response.status, response.body, response.headers["x-id"]) == (201, b"made", "5")
    [request] = receiver.requests
    assert (request.method, request.target, request.body) == ("POST", "/hook?a=b%20c", b"hello")
    assert request.headers["host"] == f"127.0.0.1:{receiver.port}"
    assert request.headers["user-agent"].startswith("Heartbeat-Central/")


@pytest.mark.parametrize("body", [None, b"one", b"x" * 100_000])
def test_head_and_body_are_one_write(body: bytes | None) -> None:
    writes: list[bytes] = []

    class Watched(TimedSocket):
        def sendall(self, data: bytes) -> None:  # type: ignore[override]
            writes.append(data)

    ours, theirs = socket.socketpair()
    connection = PlainConnection(Origin("http", "hooks.example", 80), [], Deadline(10))
    with theirs, Watched(fileno=ours.detach()) as connection.sock:
        connection.request("POST", "/hook", body=body, headers={"X-Number": "1"})
    (whole,) = writes
    head, _, written = whole.partition(b"\r\n\r\n")
    assert head.startswith(b"POST /hook HTTP/1.1\r\n")
    assert written == (body or b"")


def test_keeps_the_connection_for_the_next_request(
    client: HttpClient, receiver: HttpReceiver
) -> None:
    for _ in range(3):
        client.send(post(receiver.url))

    assert (len(receiver.requests), receiver.accepted) == (3, 1)


def test_opens_a_new_connection_when_the_kept_one_was_closed(
    client: HttpClient, receiver: HttpReceiver
) -> None:
    receiver.answer = http.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    for _ in range(3):
        assert client.send(post(receiver.url)).body == b"ok"

    assert len(receiver.requests) == 3


def test_sends_again_when_a_kept_connection_closes_without_an_answer(client: HttpClient) -> None:
    """The race that every server with an idle timeout can cause."""
    answers = iter([respond(), http.raw(b""), respond()])

    def answer(receiver: HttpReceiver, connection: socket.socket) -> bool:
        return next(answers)(receiver, connection)

    with HttpReceiver(answer) as receiver:
        client.send(post(receiver.url))
        assert client.send(post(receiver.url)).status == 200
        assert len(receiver.requests) == 3


def test_many_threads_share_it(client: HttpClient, receiver: HttpReceiver) -> None:
    with ThreadPoolExecutor(32) as pool:
        urls = [f"{receiver.url}/{number}" for number in range(200)]
        statuses = list(pool.map(lambda url: client.send(post(url)).status, urls))

    assert statuses == [200] * 200
    assert {request.target for request in receiver.requests} == {f"/{n}" for n in range(200)}
    assert receiver.accepted <= 32


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(http.hangs, id="no answer"),
        pytest.param(http.drips_status, id="status line a byte at a time"),
        pytest.param(http.drips_headers, id="headers a byte at a time"),
    ],
)
def test_gives_up_at_the_deadline(client: HttpClient, answer: http.Answer) -> None:
    with HttpReceiver(answer) as receiver:
        started = time.monotonic()
        with pytest.raises(TemporaryFailure, match=r"did not answer within 0\.4 s"):
            client.send(post(receiver.url), timeout=SHORT)
        assert time.monotonic() - started < SOON


def test_interim_responses_without_an_end_are_cut_off(client: HttpClient) -> None:
    with (
        HttpReceiver(http.endless_headers) as receiver,
        pytest.raises(TemporaryFailure, match="the answer is too long"),
    ):
        client.send(post(receiver.url))


@pytest.mark.parametrize("status", [200, 500])
def test_a_body_that_drips_does_not_hide_the_status(client: HttpClient, status: int) -> None:
    with HttpReceiver(http.drips_body(status)) as receiver:
        started = time.monotonic()
        response = client.send(post(receiver.url), timeout=SHORT)
        assert (response.status, response.body) == (status, b"")
        assert time.monotonic() - started < SOON


def test_reads_a_body_without_end_up_to_the_cap(client: HttpClient) -> None:
    with HttpReceiver(http.endless_body(200)) as receiver:
        response = client.send(post(receiver.url))
        assert (response.status, len(response.body)) == (200, READ_CAP)


def test_a_body_of_the_cap_keeps_the_connection_and_a_longer_one_does_not(
    client: HttpClient, receiver: HttpReceiver
) -> None:
    for size, accepted in [(READ_CAP, 1), (READ_CAP, 1), (READ_CAP + 9, 1), (10, 2)]:
        receiver.answer = respond(200, b"x" * size)
        assert len(client.send(post(receiver.url)).body) == min(size, READ_CAP)
        assert receiver.accepted == accepted


def test_reads_a_chunked_body(client: HttpClient, receiver: HttpReceiver) -> None:
    receiver.answer = http.raw(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n3\r\n...\r\n0\r\n\r\n"
    )
    assert client.send(post(receiver.url)).body == b"ok..."


def test_a_body_that_breaks_off_does_not_hide_the_status(client: HttpClient) -> None:
    with HttpReceiver(
        http.raw(b"HTTP/1.1 404 Not Found\r\nContent-Length: 50\r\n\r\nshort")
    ) as receiver:
        assert client.send(post(receiver.url)).status == 404


def test_an_early_answer_to_a_large_request_is_read(client: HttpClient) -> None:
    def refuse(receiver: object, connection: socket.socket) -> None:
        connection.recv(1000)
        connection.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65536):
            pass

    with Scripted(refuse) as receiver:
        response = client.send(post(f"http://127.0.0.1:{receiver.port}/", b"x" * 3_000_000))
        assert response.status == 413


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_follows_no_redirect(client: HttpClient, status: int) -> None:
    with HttpReceiver(http.redirects(status)) as receiver:
        assert client.send(post(receiver.url)).status == status
        assert len(receiver.requests) == 1


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (http.resets, "Connection reset"),
        (http.raw(b""), "closed the connection without an answer"),
        (http.raw(b"SSH-2.0-OpenSSH_9.6\r\n"), "not HTTP"),
        (http.raw(b"HTTP/1.1 2OO OK\r\n\r\n"), "not HTTP"),
        (http.raw(b"HTTP/1.1 200 OK\r\n" + b"A" * 70_000), "not HTTP"),
        (http.raw(b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 200), "not HTTP"),
    ],
)
def test_a_broken_answer_is_temporary(client: HttpClient, answer: http.Answer, words: str) -> None:
    with HttpReceiver(answer) as receiver:
        with pytest.raises(TemporaryFailure, match=words) as caught:
            client.send(post(f"{receiver.url}/token-5e1f"))
        assert "token-5e1f" not in str(caught.value)


def test_a_closed_port_is_temporary(client: HttpClient) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(TemporaryFailure, match=f"no connection to 127.0.0.1:{port}"):
        client.send(post(f"http://127.0.0.1:{port}/"))


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.com/",
        "file:///etc/passwd",
        "example.com",
        "http://",
        "http://user:password@example.com/",
        "http://exa mple.com/",
        "http://example.com/\r\nX: y",
        "http://example.com:0/",
        "http://example.com:65536/",
        "http://[fe80::1%25eth0]/",
        "http://example.com\\@127.0.0.1/",
        "//example.com/",
        "",
    ],
)
def test_other_urls_are_refused(client: HttpClient, url: str) -> None:
    with pytest.raises(PermanentFailure, match="the URL"):
        client.send(post(url))


@pytest.mark.parametrize("headers", [{"X-A": "b\r\nX-C: d"}, {"X-A\r\nX-C": "d"}, {"X": "☃"}])
def test_a_header_that_http_cannot_carry_is_refused(
    client: HttpClient, receiver: HttpReceiver, headers: dict[str, str]
) -> None:
    with pytest.raises(PermanentFailure, match="header"):
        client.send(HttpRequest(url=receiver.url, headers=headers))
    assert receiver.requests == []


class TestTls:
    def test_verifies_the_name_in_the_url_at_a_pinned_address(
        self, certificates: Certificates
    ) -> None:
        client = HttpClient(
            allow_private=True,
            resolver=lambda host: ["127.0.0.1"],
            ssl_context=tls_context(ca_file=certificates.ca_file),
        )
        with HttpReceiver(tls=certificates.server_context()) as receiver:
            good = f"https://receiver.test:{receiver.port}/"
            assert client.send(post(good)).status == 200
            assert client.send(post(good)).status == 200
            assert receiver.accepted == 1
            assert receiver.requests[0].headers["host"] == f"receiver.test:{receiver.port}"

            with pytest.raises(TemporaryFailure, match="certificate was not accepted"):
                client.send(post(f"https://other.test:{receiver.port}/"))
        client.close()

    def test_refuses_an_unknown_authority(self, certificates: Certificates) -> None:
        client = HttpClient(allow_private=True)
        with HttpReceiver(tls=certificates.server_context()) as receiver:
            with pytest.raises(TemporaryFailure, match="certificate was not accepted"):
                client.send(post(receiver.url))
            assert receiver.requests == []

    def test_a_handshake_that_stalls_ends_at_the_deadline(self, client: HttpClient) -> None:
        with Scripted(hang) as receiver:
            started = time.monotonic()
            with pytest.raises(TemporaryFailure, match="did not answer"):
                client.send(post(f"https://127.0.0.1:{receiver.port}/"), timeout=SHORT)
            assert time.monotonic() - started < SOON

    def test_a_drip_through_tls_ends_at_the_deadline(
        self, client: HttpClient, certificates: Certificates
    ) -> None:
        with HttpReceiver(http.drips_headers, tls=certificates.server_context()) as receiver:
            started = time.monotonic()
            with pytest.raises(TemporaryFailure, match="did not answer"):
                client.send(post(receiver.url), timeout=SHORT)
            assert time.monotonic() - started < SOON

    def test_plain_text_where_tls_was_expected_is_temporary(self, client: HttpClient) -> None:
        # It answers at once: a server that waits for the end of a line may wait for ever, since a
        # TLS greeting holds one only by chance.
        with (
            Scripted(
                lambda receiver, connection: connection.sendall(b"HTTP/1.1 400 Bad\r\n\r\n")
            ) as receiver,
            pytest.raises(TemporaryFailure, match="no TLS"),
        ):
            client.send(post(f"https://127.0.0.1:{receiver.port}/"))


class TestPrivateTargets:
    @pytest.mark.parametrize(
        "host", ["127.0.0.1", "0x7f.1", "2130706433", "localhost", "0.0.0.0", "[::1]", "[::]"]
    )
    def test_this_machine_is_not_reached(self, receiver: HttpReceiver, host: str) -> None:
        guarded = HttpClient(allow_private=False)
        with pytest.raises(PermanentFailure, match="HEARTBEAT_ALLOW_PRIVATE_TARGETS") as caught:
            guarded.send(post(f"http://{host}:{receiver.port}/"))
        assert host.strip("[]") in str(caught.value)
        assert receiver.accepted == 0

    def test_one_private_address_among_several_is_enough(self, receiver: HttpReceiver) -> None:
        guarded = HttpClient(
            allow_private=False, resolver=lambda host: ["93.184.216.34", "127.0.0.1"]
        )
        with pytest.raises(PermanentFailure, match=r"two\.test"):
            guarded.send(post(f"http://two.test:{receiver.port}/"))

    def test_a_name_is_resolved_only_once(self, receiver: HttpReceiver) -> None:
        """Else a second answer could differ from the one that was checked."""
        asked = []

        def resolve(host: str) -> Sequence[str]:
            asked.append(host)
            return ["127.0.0.1"]

        client = HttpClient(allow_private=True, resolver=resolve)
        client.send(post(f"http://once.test:{receiver.port}/"))
        client.close()
        assert asked == ["once.test"]

    def test_the_next_address_is_tried_when_one_does_not_accept(
        self, receiver: HttpReceiver
    ) -> None:
        client = HttpClient(allow_private=True, resolver=lambda host: ["127.0.0.9", "127.0.0.1"])
        assert client.send(post(f"http://two.test:{receiver.port}/")).status == 200
        client.close()


class TestNames:
    def test_a_name_that_does_not_resolve_is_temporary(self) -> None:
        def resolve(host: str) -> Sequence[str]:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

        with pytest.raises(TemporaryFailure, match=r"gone\.test could not be resolved"):
            HttpClient(allow_private=False, resolver=resolve).send(post("http://gone.test/"))

    def test_a_name_server_that_hangs_ends_at_the_deadline(self) -> None:
        done = threading.Event()

        def resolve(host: str) -> Sequence[str]:
            done.wait(30)
            return []

        started = time.monotonic()
        with pytest.raises(TemporaryFailure, match=r"looking up slow\.test took too long"):
            HttpClient(allow_private=False, resolver=resolve, timeout=0.2).send(
                post("http://slow.test/")
            )
        assert time.monotonic() - started < SOON
        done.set()

    def test_what_is_no_name_is_refused(self) -> None:
        with pytest.raises(PermanentFailure, match="is not a host name"):
            HttpClient(allow_private=False).send(post(f"http://{'a' * 70}.test/"))


def test_environment_proxies_are_not_used(
    client: HttpClient, receiver: HttpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    assert client.send(post(receiver.url)).status == 200

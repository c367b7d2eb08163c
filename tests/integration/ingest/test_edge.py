"""Heartbeats over HTTP: what is answered, and what is stored by then."""

import http.client
import json
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from sqlalchemy import select

from heartbeat_central.domain.errors import StorageUnavailable
from heartbeat_central.domain.signal import Signal, SignalKind
from heartbeat_central.domain.view import ApplicationView
from heartbeat_central.services.manage_applications import delete_application, pause_application
from heartbeat_central.services.record_signals import Recorded, record_signals
from heartbeat_central.storage import tables
from tests.support.edge import serving
from tests.support.world import BASE_URL, World, at


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


class Client:
    """Sends requests to the edge, and looks at what is stored."""

    def __init__(self, url: str, world: World, application: ApplicationView) -> None:
        self.address = urlsplit(url).netloc
        self.world = world
        self.application = application
        self.path = f"/heartbeat/{application.uuid}"

    def send(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        connection = http.client.HTTPConnection(self.address, timeout=20)
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            named = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, named, response.read())
        finally:
            connection.close()

    def connected(self) -> socket.socket:
        host, _, port = self.address.partition(":")
        return socket.create_connection((host, int(port)), timeout=20)

    def raw(self, request: bytes, *, until: bytes = b"\r\n\r\n") -> bytes:
        """Send bytes as they are and return what comes back, up to `until` and what came with it."""
        with self.connected() as connection:
            connection.sendall(request)
            answer = b""
            while until not in answer:
                piece = connection.recv(65536)
                assert piece, f"the connection was closed after {answer!r}"
                answer += piece
            return answer

    def stored(self) -> list[tuple[SignalKind, bytes | None, int | None]]:
        with self.world.database.read() as connection:
            rows = connection.execute(select(tables.heartbeats).order_by(tables.heartbeats.c.id))
            return [(SignalKind(row.kind), row.body, row.exit_status) for row in rows]


@pytest.fixture
def client(world: World) -> Iterator[Client]:
    database = world.database
    application = world.application()

    def record(signals: Sequence[Signal]) -> Recorded:
        return record_signals(database, signals, now=signals[-1].received_at, base_url=BASE_URL)

    with serving(record) as url:
        yield Client(url, world, application)


@pytest.mark.parametrize("method", ["GET", "POST", "HEAD"])
def test_a_heartbeat_is_stored_when_it_is_answered(client: Client, method: str) -> None:
    answer = client.send(method, client.path)
    assert answer.status == 200
    assert client.stored() == [(SignalKind.SUCCESS, None, None)]
    if method == "HEAD":
        assert answer.body == b""
    else:
        told = json.loads(answer.body)
        assert told["status"] == "ok"
        assert datetime.fromisoformat(told["timestamp"]).utcoffset() is not None
        assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("suffix", "kind", "exit_status"),
    [
        ("/start", SignalKind.START, None),
        ("/fail", SignalKind.FAIL, None),
        ("/log", SignalKind.LOG, None),
        ("/0", SignalKind.SUCCESS, 0),
        ("/137", SignalKind.FAIL, 137),
    ],
)
def test_every_kind_of_signal_is_stored(
    client: Client, suffix: str, kind: SignalKind, exit_status: int | None
) -> None:
    assert client.send("POST", client.path + suffix).status == 200
    assert client.stored() == [(kind, None, exit_status)]


@pytest.mark.parametrize("body", [b"\xff\xfe\x00", b"\x00", b"x" * 10_001])
def test_no_body_costs_the_heartbeat(client: Client, body: bytes) -> None:
    assert client.send("POST", client.path, body).status == 200
    assert client.stored() == [(SignalKind.SUCCESS, body[:10_000], None)]


def test_a_body_over_a_mebibyte_is_refused(client: Client) -> None:
    assert client.send("POST", client.path, b"x" * (1024 * 1024)).status == 200
    answer = client.send("POST", client.path, b"x" * (1024 * 1024 + 1))
    assert answer.status == 413
    assert len(client.stored()) == 1


@pytest.mark.parametrize("expecting", [False, True], ids=["plain", "Expect: 100-continue"])
def test_a_body_that_says_it_is_too_large_is_refused_before_it_is_sent(
    client: Client, expecting: bool
) -> None:
    head = f"POST {client.path} HTTP/1.1\r\nHost: x\r\nContent-Length: {1024 * 1024 + 1}\r\n"
    head += "Expect: 100-continue\r\n" if expecting else ""
    assert client.raw(head.encode() + b"\r\n").startswith(b"HTTP/1.1 413 ")


def test_a_body_in_chunks_is_refused_once_it_is_too_large(client: Client) -> None:
    head = f"POST {client.path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    endless = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    assert client.raw(head.encode() + endless * 17).startswith(b"HTTP/1.1 413 ")
    fits = client.raw(head.encode() + endless * 16 + b"0\r\n\r\n")
    assert fits.startswith(b"HTTP/1.1 200 ")
    assert len(client.stored()) == 1


def test_a_refused_body_leaves_the_connection_usable(client: Client) -> None:
    head = f"POST {client.path} HTTP/1.1\r\nHost: x\r\nContent-Length: {1024 * 1024 + 1}\r\n\r\n"
    rest = b"x" * (1024 * 1024 + 1) + f"GET {client.path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    answers = client.raw(head.encode() + rest, until=b'"status":"ok"')
    assert answers.startswith(b"HTTP/1.1 413 ")
    assert b"HTTP/1.1 200 OK" in answers


def test_a_body_may_take_its_time(client: Client) -> None:
    with client.connected() as connection:
        head = f"POST {client.path}/log HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n"
        for piece in (head.encode(), b"a", b"b", b"c"):
            connection.sendall(piece)
            time.sleep(0.05)
        assert connection.recv(1000).startswith(b"HTTP/1.1 200 ")
    assert client.stored() == [(SignalKind.LOG, b"abc", None)]


def test_a_request_that_breaks_off_stores_nothing(client: Client) -> None:
    head = f"POST {client.path} HTTP/1.1\r\nHost: x\r\nContent-Length: 30\r\n\r\n"
    with client.connected() as connection:
        connection.sendall(head.encode() + b"half of ")
    assert client.send("POST", client.path).status == 200
    assert client.stored() == [(SignalKind.SUCCESS, None, None)]


def test_requests_on_one_connection_are_answered_in_order(client: Client) -> None:
    request = "POST {} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"
    many = "".join(request.format(client.path + "/log", f"{n:02}") for n in range(20))
    last = f"GET {client.path}?rid=x HTTP/1.1\r\nHost: x\r\n\r\n"
    answers = client.raw((many + last).encode(), until=b"must be a UUID")
    assert answers.count(b"HTTP/1.1 200 OK") == 20
    assert answers.rindex(b"200 OK") < answers.index(b"400 Bad Request")
    assert [body for _, body, _ in client.stored()] == [f"{n:02}".encode() for n in range(20)]


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/heartbeat/nonsense", {}, 404),
        ("{path}?rid=x", {}, 400),
        ("{path}", {"Content-Length": str(1024 * 1024 + 1)}, 413),
    ],
)
def test_an_error_has_no_body_when_only_the_head_was_asked_for(
    client: Client, path: str, headers: dict[str, str], status: int
) -> None:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    target = path.format(path=client.path)
    answer = client.raw(f"HEAD {target} HTTP/1.1\r\nHost: x\r\n{lines}\r\n".encode())
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())
    assert answer.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    "change", [str.upper, lambda path: path + "/", lambda path: path + "/log/"]
)
def test_a_path_may_be_in_upper_case_and_end_with_a_slash(
    client: Client, change: Callable[[str], str]
) -> None:
    path = "/heartbeat/" + change(str(client.application.uuid))
    assert client.send("GET", path).status == 200
    assert len(client.stored()) == 1


def test_unknown_deleted_and_malformed_uuids_get_one_identical_answer(client: Client) -> None:
    world = client.world
    gone = world.application("gone")
    delete_application(world.database, world.project_id, gone.id, now=at(1))
    paths = [f"/heartbeat/{gone.uuid}", f"/heartbeat/{uuid4()}", "/heartbeat/nonsense"]
    paths += [client.path + "/256", client.path + "x"]
    answers = [client.send("POST", path) for path in paths]
    assert {answer.status for answer in answers} == {404}
    assert len({answer.body for answer in answers}) == 1
    for answer in answers:
        answer.headers.pop("date", None)
    assert all(answer.headers == answers[0].headers for answer in answers)
    assert client.stored() == []


def test_a_paused_application_is_told_so(client: Client) -> None:
    world = client.world
    pause_application(
        world.database, world.project_id, client.application.id, now=at(1), base_url=BASE_URL
    )
    answer = client.send("POST", client.path)
    assert (answer.status, json.loads(answer.body)["status"]) == (200, "paused")
    assert len(client.stored()) == 1


def test_a_rid_that_is_no_uuid_is_refused_and_nothing_stored(client: Client) -> None:
    answer = client.send("GET", client.path + "?rid=yesterday")
    assert answer.status == 400
    assert "rid: must be a UUID" in json.loads(answer.body)["detail"]
    assert client.stored() == []


def test_msg_is_the_body_of_clients_that_have_none(client: Client) -> None:
    assert client.send("GET", client.path + "?msg=12%20files").status == 200
    assert client.stored() == [(SignalKind.SUCCESS, b"12 files", None)]


@pytest.mark.parametrize("query", ["msg=%FF%00gr%C3%BCn", "rid=&msg=x&rid="])
def test_msg_is_kept_byte_for_byte(client: Client, query: str) -> None:
    path = f"{client.path}?{query.replace('rid=', f'rid={uuid4()}')}"
    assert client.send("GET", path).status == 200
    expected = b"x" if "rid" in query else b"\xff\x00gr\xc3\xbcn"
    assert client.stored() == [(SignalKind.SUCCESS, expected, None)]


def test_no_answer_is_kept_by_a_cache(client: Client) -> None:
    for path in (client.path, client.path + "x", client.path + "?rid=x"):
        assert client.send("GET", path).headers["cache-control"] == "no-store"


def test_other_methods_are_refused(client: Client) -> None:
    answer = client.send("DELETE", client.path)
    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD, POST")


def test_other_paths_are_handed_on(client: Client) -> None:
    assert client.send("GET", "/api/applications").body == b"rest /api/applications 127.0.0.1"


def test_many_clients_at_once_all_find_their_heartbeats_stored(client: Client) -> None:
    with ThreadPoolExecutor(16) as clients:
        answers = clients.map(lambda _: client.send("POST", client.path).status, range(200))
    assert set(answers) == {200}
    assert len(client.stored()) == 200


def test_an_absent_database_is_told_with_503_and_retry_after(sqlite_url: str) -> None:
    def away(signals: Sequence[Signal]) -> Recorded:
        raise StorageUnavailable("connection refused")

    with serving(away) as url:
        connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=20)
        connection.request("POST", f"/heartbeat/{uuid4()}")
        response = connection.getresponse()
        assert response.status == 503
        assert response.headers["retry-after"] == "2"
        said = json.loads(response.read())["detail"]
        assert said == "not stored, try again: the database can't be used now"
        connection.close()

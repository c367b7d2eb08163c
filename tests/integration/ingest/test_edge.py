"""Heartbeats over HTTP: what is answered, and what is stored by then."""

import http.client
import json
from collections.abc import Iterator, Sequence
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
        assert "connection refused" in json.loads(response.read())["detail"]
        connection.close()

"""nginx and Caddy with the shipped configurations, in front of a process for each kind of work."""

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any

import pytest

from tests.support import postgres, proxies
from tests.support.ports import free_port
from tests.support.proxies import Behind, Proxy
from tests.support.samples import value
from tests.support.service import Service

HERE, THERE = "127.0.0.1", "127.0.0.2"
"""Where the proxy is, which is trusted, and where clients are, who are not."""
ADMIN = {"ADMIN_EMAIL": "ann@example.org", "ADMIN_PASSWORD": "correct horse battery"}


@dataclass
class Split:
    """The processes behind the proxy, and the port that clients use."""

    record: Service
    web: Service
    port: int
    log: Path

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> tuple[int, dict[str, str], bytes]:
        """Send one request from THERE through the proxy."""
        connection = self.connect()
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            found = answer.headers
            lower = {name.lower(): ", ".join(found.get_all(name, [])) for name in found}
            return answer.status, lower, answer.read()
        finally:
            connection.close()

    def connect(self) -> HTTPConnection:
        return HTTPConnection(HERE, self.port, timeout=20, source_address=(THERE, 0))

    def recorded(self) -> dict[str, float]:
        """Return how many heartbeats each of the two has stored."""
        return {
            name: value(one.request("GET", "/metrics")[1], "heartbeats_total", outcome="stored")
            for name, one in (("record", self.record), ("web", self.web))
        }


@pytest.fixture(scope="module")
def processes(
    postgres_server: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Service, Service, int]]:
    """A recorder, a web process, and the port of their proxy."""
    port = free_port()
    with ExitStack() as running:
        settings: dict[str, Any] = {
            "DATABASE_URL": running.enter_context(postgres.fresh_database()),
            "SECRET_KEY": "of both",
            "BASE_URL": f"http://{HERE}:{port}",
            "TRUSTED_PROXIES": HERE,
            **ADMIN,
        }
        folder = tmp_path_factory.mktemp("split")
        record, web = (
            running.enter_context(Service(folder / work, "--only", work, **settings))
            for work in ("record", "web")
        )
        yield record, web, port


@pytest.fixture(params=[proxies.nginx, proxies.caddy], ids=["nginx", "caddy"])
def split(
    request: pytest.FixtureRequest, processes: tuple[Service, Service, int], tmp_path: Path
) -> Iterator[Split]:
    proxy: Proxy = request.param
    record, web, port = processes
    with proxy(tmp_path, Behind(port=port, record=record.port, web=web.port)) as log:
        yield Split(record, web, port, log)


@pytest.fixture
def application(split: Split) -> dict[str, Any]:
    created: dict[str, Any] = split.web.api(
        "POST", "/applications", {"name": "Shop", "expected_interval": 3600}
    )
    return created


def test_heartbeats_go_to_the_recorder(split: Split, application: dict[str, Any]) -> None:
    before = split.recorded()
    path = f"/heartbeat/{application['uuid']}"
    assert application["heartbeat_url"] == f"http://{HERE}:{split.port}{path}"
    for method in ("GET", "HEAD", "POST"):
        assert split.ask(method, path)[0] == 200
    status, headers, body = split.ask("POST", path, b"x" * 1000)
    assert (status, json.loads(body)["status"]) == (200, "ok")
    assert headers["content-type"] == "application/json"
    assert split.recorded() == {"record": before["record"] + 4, "web": before["web"]}
    assert split.ask("GET", "/ping/whatever")[0] == 404
    # A heartbeat's URL is its secret.
    assert application["uuid"] not in split.log.read_text()


def test_the_client_is_who_called_the_proxy_whatever_it_claims(
    split: Split, application: dict[str, Any]
) -> None:
    forged = {"X-Forwarded-For": "203.0.113.9"}
    split.ask("POST", f"/heartbeat/{application['uuid']}", headers=forged)
    (row,) = split.web.api("GET", f"/applications/{application['id']}/heartbeats")
    assert row["remote_address"] == THERE


def test_what_is_too_large_is_refused_in_our_own_words(
    split: Split, application: dict[str, Any]
) -> None:
    path = f"/heartbeat/{application['uuid']}"
    status, headers, body = split.ask("POST", path, b"x" * (1024 * 1024 + 1))
    assert (status, headers["content-type"]) == (413, "application/problem+json")
    assert "1 MiB" in json.loads(body)["detail"]


def test_pages_and_api_go_to_the_web_process(split: Split) -> None:
    status, _, page = split.ask("GET", "/sign-in")
    assert status == 200
    assert b"Sign in" in page
    key = {"Authorization": f"Bearer {split.web.key}"}
    assert split.ask("GET", "/api/applications", headers=key)[0] == 200
    status, _, health = split.ask("GET", "/health")
    assert (status, json.loads(health)["detector"]["status"]) == (200, "elsewhere")


def test_metrics_stay_inside(split: Split) -> None:
    assert split.ask("GET", "/metrics")[0] == 404


def test_live_updates_arrive_while_the_stream_is_open(
    split: Split, application: dict[str, Any]
) -> None:
    connection = split.connect()
    try:
        connection.request("GET", "/events", headers={"Cookie": session_cookie(split)})
        answer = connection.getresponse()
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        assert line(answer, "retry:")
        # The page looks once a second, and must have looked before.
        assert split.ask("POST", f"/heartbeat/{application['uuid']}")[0] == 200
        assert line(answer, "event: changed")
    finally:
        connection.close()


def session_cookie(split: Split) -> str:
    """Sign in through the proxy, as a browser would, and return the cookies."""
    _, headers, page = split.ask("GET", "/sign-in")
    form = headers["set-cookie"].partition(";")[0]
    token = page.decode().partition('name="csrf_token" value="')[2].partition('"')[0]
    assert token
    fields = f"csrf_token={token}&email=ann%40example.org&password=correct+horse+battery"
    status, headers, _ = split.ask(
        "POST",
        "/sign-in",
        fields.encode(),
        {"Cookie": form, "Content-Type": "application/x-www-form-urlencoded"},
    )
    assert status == 303
    assert "hbc_session=" in headers["set-cookie"]
    return "hbc_session=" + headers["set-cookie"].partition("hbc_session=")[2].partition(";")[0]


def line(answer: HTTPResponse, beginning: str, seconds: float = 20) -> str:
    """Return the next line of a stream that begins so."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        text = answer.readline().decode()
        if text.startswith(beginning):
            return text
    raise TimeoutError(f"no {beginning} came")

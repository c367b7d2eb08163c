"""The REST API behind a real HTTP server, with keys, on each of the two databases."""

import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from flask import Flask
from werkzeug.exceptions import HTTPException
from werkzeug.serving import make_server

from heartbeat_central.api import answer, register_api
from heartbeat_central.api.context import ApiContext
from heartbeat_central.services.deliver_alerts import Sender
from heartbeat_central.services.manage_api_keys import create_api_key
from heartbeat_central.storage.engine import Database
from tests.support.world import World

PUBLIC = "https://beats.example.org"
"""The address that people and applications are told."""


def clock() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def fields(self) -> set[str]:
        """The offending fields that a problem names."""
        return {error["field"] for error in self.json.get("errors", [])}

    @property
    def next(self) -> str | None:
        """The path and query of the next page."""
        link = self.headers.get("link")
        if link is None:
            return None
        assert link.endswith('>; rel="next"')
        return "/api/" + link[1:].partition("/api/")[2].partition(">")[0]


@dataclass
class Api:
    """A client of the API, with a key for writing unless told otherwise."""

    port: int
    app: Flask
    world: World
    key: str
    read_key: str
    rings: list[datetime] = field(default_factory=list)
    """When the monitor was told that there may be something to do."""

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        raw: bytes | None = None,
        headers: dict[str, str] | None = None,
        content_type: str | None = "application/json",
    ) -> Answer:
        sent = {"Authorization": f"Bearer {self.key}"} if headers is None else dict(headers)
        data = raw if raw is not None else None if body is None else json.dumps(body).encode()
        if data is not None and content_type is not None:
            sent.setdefault("Content-Type", content_type)
        connection = HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, body=data, headers=sent)
            response = connection.getresponse()
            return Answer(
                response.status,
                {name.lower(): value for name, value in response.headers.items()},
                response.read(),
            )
        finally:
            connection.close()

    def get(self, path: str, **more: Any) -> Answer:
        return self.call("GET", path, **more)

    def post(self, path: str, body: Any = None, **more: Any) -> Answer:
        return self.call("POST", path, body, **more)

    def patch(self, path: str, body: Any = None, **more: Any) -> Answer:
        return self.call("PATCH", path, body, **more)

    def delete(self, path: str, **more: Any) -> Answer:
        return self.call("DELETE", path, **more)

    def application(self, name: str = "Backup", **more: Any) -> dict[str, Any]:
        """Create an application and return it."""
        answer = self.post("/api/applications", {"name": name, "expected_interval": 60, **more})
        assert answer.status == 201, answer.body
        created: dict[str, Any] = answer.json
        return created

    def channel(self, url: str = "https://example.com/hook", **more: Any) -> dict[str, Any]:
        """Create a webhook channel and return it."""
        new = {"name": "Hook", "type": "webhook", "config": {"url": url}, **more}
        answer = self.post("/api/channels", new)
        assert answer.status == 201, answer.body
        created: dict[str, Any] = answer.json
        return created


def served_app(context: ApiContext) -> Flask:
    app = Flask("heartbeat_central", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = 2 * 1024 * 1024
    register_api(app, context)
    # As wiring does, for what no route takes.
    app.register_error_handler(HTTPException, answer)
    return app


@pytest.fixture
def api(database: Database) -> Iterator[Api]:
    world = World(database)
    rings: list[datetime] = []
    now = clock()
    key, _ = create_api_key(database, world.project_id, "tests", "write", now=now)
    read_key, _ = create_api_key(database, world.project_id, "reader", "read", now=now)
    app = served_app(
        ApiContext(
            sender=Sender(database, world.registry, world.secret_box, world.outbound),
            base_url=PUBLIC,
            clock=clock,
            doorbell=lambda: rings.append(clock()),
        )
    )
    server = make_server("127.0.0.1", 0, app, threaded=True)
    # Half a second, its usual pause, would be most of a test's time.
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield Api(server.server_port, app, world, key, read_key, rings)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Receiver:
    """A local HTTP server that keeps what it is sent and answers with a status of one's choice."""

    def __init__(self, status: int = 200) -> None:
        self.status = status
        self.received: list[dict[str, Any]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers.get("Content-Length", 0))
                outer.received.append(json.loads(self.rfile.read(length)))
                self.send_response(outer.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    running = Receiver()
    try:
        yield running
    finally:
        running.close()


@pytest.fixture
def closed_url() -> str:
    """A URL that refuses connections."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{one.getsockname()[1]}/"

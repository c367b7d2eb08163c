"""`channel test` tells the receiver's answer, and `doctor` whether the secret key still opens channels."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from heartbeat_central.alerts.registry import build_registry
from heartbeat_central.services.default_project import default_project_id
from heartbeat_central.services.manage_channels import create_channel
from heartbeat_central.storage.engine import open_database
from heartbeat_central.storage.secrets import SecretBox
from tests.integration.cli.conftest import CommandLine

KEY = "the-key-that-sealed-the-channels"


@pytest.fixture
def receiver() -> Iterator[str]:
    """A web server that takes what is sent to /ok and refuses the rest."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(204 if self.path == "/ok" else 410)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def add_channel(command_line: CommandLine, url: str) -> str:
    """Store a webhook channel sealed with KEY and return its id."""
    command_line.output("db", "upgrade")
    database = open_database(command_line.settings["DATABASE_URL"])
    now = datetime.now(UTC)
    try:
        channel = create_channel(
            database,
            default_project_id(database, now=now),
            name="Ops",
            type="webhook",
            config={"url": url},
            registry=build_registry(),
            secret_box=SecretBox([KEY]),
            now=now,
        )
    finally:
        database.close()
    return str(channel.id)


LOCAL = {"SECRET_KEY": KEY, "HEARTBEAT_ALLOW_PRIVATE_TARGETS": "true"}


def test_a_delivered_test_says_so(command_line: CommandLine, receiver: str) -> None:
    done = command_line.run(
        "channel", "test", add_channel(command_line, receiver + "/ok"), env=LOCAL
    )
    assert done.returncode == 0, done.stderr
    assert "was delivered" in done.stderr


def test_a_refused_test_says_why(command_line: CommandLine, receiver: str) -> None:
    number = add_channel(command_line, receiver + "/gone")
    assert "410" in command_line.failure("channel", "test", number, env=LOCAL)


def test_a_private_address_is_refused_unless_allowed(
    command_line: CommandLine, receiver: str
) -> None:
    number = add_channel(command_line, receiver + "/ok")
    sentence = command_line.failure("channel", "test", number, env={"SECRET_KEY": KEY})
    assert "HEARTBEAT_ALLOW_PRIVATE_TARGETS" in sentence


def test_another_secret_key_is_told(command_line: CommandLine, receiver: str) -> None:
    number = add_channel(command_line, receiver + "/ok")
    env = LOCAL | {"SECRET_KEY": "another-key-altogether"}
    assert "SECRET_KEY" in command_line.failure("channel", "test", number, env=env)


@pytest.mark.parametrize(
    ("key", "status", "words"),
    [
        (KEY, 0, "secret-key       ok"),
        ("another-key-altogether", 1, "does not open the configuration of 1 of 1"),
        ("", 1, "does not open the configuration of 1 of 1"),  # none was made yet
    ],
)
def test_doctor_tries_the_secret_key(
    command_line: CommandLine, key: str, status: int, words: str
) -> None:
    add_channel(command_line, "https://example.org/")
    done = command_line.run("doctor", env={"SECRET_KEY": key})
    assert done.returncode == status, done.stdout
    assert words in done.stdout

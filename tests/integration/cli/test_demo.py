"""The demo shows alerts within seconds, and leaves nothing behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.integration.cli.conftest import CommandLine, fetch
from tests.support.ports import free_port

COMMAND = (sys.executable, "-m", "heartbeat_central.cli", "demo")


def start(command_line: CommandLine, *options: str) -> "subprocess.Popen[str]":
    environment = command_line.environment(
        # Neither its own settings nor a proxy may lead it astray.
        {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/x", "http_proxy": "http://127.0.0.1:1"}
    )
    environment["TMPDIR"] = str(command_line.folder)
    return subprocess.Popen(
        [*COMMAND, *options],
        cwd=command_line.folder,
        env={**environment, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_the_demo_shows_outages_and_recoveries(on_sqlite: CommandLine) -> None:
    process = start(on_sqlite, "--port", str(free_port()), "--speed", "2")
    awaited = {
        "DOWN Mail queue worker",
        "UP Mail queue worker",
        "DOWN Certificate renewal",
        "DOWN Old FTP import",
        "DOWN Greenhouse sensor",
        "DOWN Monthly report",
        "DOWN Database migration",
        "UP Database migration",
    }
    said = []
    assert process.stdout is not None
    for line in process.stdout:
        said.append(" ".join(line.split()))
        awaited = {words for words in awaited if words not in said[-1]}
        if not awaited:
            break
    process.send_signal(signal.SIGINT)
    said += process.communicate(timeout=30)[0].splitlines()
    assert process.returncode == 0, said
    assert not awaited, said
    for steady in ("Web shop", "Payment gateway", "Search indexer", "Nightly backup", "Staging"):
        assert not [line for line in said if f"DOWN {steady}" in line], said
    assert list(on_sqlite.folder.iterdir()) == []


def test_the_demo_ends_after_the_seconds_it_is_given(on_sqlite: CommandLine) -> None:
    process = start(on_sqlite, "--port", str(free_port()), "--seconds", "1")
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert said.endswith("Nothing is left behind.\n")


def test_ctrl_c_ends_the_demo_and_its_service(on_sqlite: CommandLine) -> None:
    port = free_port()
    process = start(on_sqlite, "--port", str(port))
    assert process.stdout is not None
    for line in process.stdout:
        if "Ctrl-C" in line:
            break
    status, _ = fetch(f"http://127.0.0.1:{port}/health")
    assert status == 200
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=30)
    assert process.returncode == 0, said
    assert "Traceback" not in said
    assert fetch(f"http://127.0.0.1:{port}/health")[0] == 0
    assert list(on_sqlite.folder.iterdir()) == []


def test_ctrl_c_while_it_starts_leaves_nothing_either(on_sqlite: CommandLine) -> None:
    process = start(on_sqlite, "--port", str(free_port()))
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=30)
    assert process.returncode == 0, said
    assert list(on_sqlite.folder.iterdir()) == []


def test_a_taken_port_is_told(on_sqlite: CommandLine) -> None:
    import socket

    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        assert "port" in on_sqlite.failure("demo", "--port", str(other.getsockname()[1]))


def test_the_child_gets_none_of_our_settings() -> None:
    from heartbeat_central.cli.demo.instance import _environment

    os.environ["SMTP_SERVER"] = "mail.example.org"
    try:
        assert "SMTP_SERVER" not in _environment(Path("/tmp/x"), 1, "p")
    finally:
        del os.environ["SMTP_SERVER"]


def test_sigterm_ends_the_demo_and_its_service(on_sqlite: CommandLine) -> None:
    port = free_port()
    process = start(on_sqlite, "--port", str(port))
    while fetch(f"http://127.0.0.1:{port}/health")[0] != 200:
        assert process.poll() is None
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=30)
    assert process.returncode == 0, said
    assert fetch(f"http://127.0.0.1:{port}/health")[0] == 0
    assert list(on_sqlite.folder.iterdir()) == []

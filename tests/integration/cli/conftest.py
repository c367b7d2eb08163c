"""The command line as users have it: a process of its own, in an empty folder, with its own settings."""

import contextlib
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support.launcher import LAUNCHER, Launched
from tests.support.ports import free_port

REPOSITORY = Path(__file__).parents[3]
COMMAND = (sys.executable, "-m", "heartbeat_central.cli")


def fetch(url: str, *, key: str | None = None) -> tuple[int, str]:
    """Return status and body of a GET; status 0 when nobody answers."""
    request = urllib.request.Request(url)
    if key:
        request.add_header("Authorization", f"Bearer {key}")
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return 0, ""


@dataclass
class Running:
    """A `serve` in the background."""

    process: subprocess.Popen[bytes] | Launched
    log: Path
    base_url: str

    def said(self) -> str:
        return self.log.read_text()

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(15)


@dataclass
class CommandLine:
    """Runs commands with the same settings in the same folder."""

    folder: Path
    settings: dict[str, str] = field(default_factory=dict)

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(REPOSITORY / "src"),
            **self.settings,
            **(extra or {}),
        }

    def run(
        self, *arguments: str, said: str = "", env: Mapping[str, str] | None = None
    ) -> "subprocess.CompletedProcess[str]":
        return LAUNCHER.run(arguments, cwd=self.folder, env=self.environment(env), said=said)

    def output(self, *arguments: str, said: str = "") -> str:
        """Return stdout of a command that must succeed."""
        done = self.run(*arguments, said=said)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def failure(self, *arguments: str, env: Mapping[str, str] | None = None) -> str:
        """Return the one sentence of a command that must fail as expected failures do."""
        done = self.run(*arguments, env=env)
        assert done.returncode == 1, done
        assert done.stdout == ""
        lines = done.stderr.splitlines()
        assert len(lines) == 1, done.stderr
        assert lines[0].startswith("heartbeat-central: ")
        assert lines[0].endswith((".", "?"))
        return lines[0]

    @contextlib.contextmanager
    def serving(
        self,
        command: Sequence[str] | None = None,
        env: Mapping[str, str] | None = None,
    ) -> Iterator[Running]:
        """Yield a service that answers /health, killed afterwards if the test didn't stop it.

        A `command` is run by itself; otherwise the launcher starts `serve`.
        """
        environment = self.environment(env)
        base_url = f"http://127.0.0.1:{environment['PORT']}"
        log = self.folder / "serve.log"
        with log.open("w") as output:
            process: subprocess.Popen[bytes] | Launched
            if command is None:
                process = LAUNCHER.launch(
                    ["serve"], cwd=self.folder, env=environment, stdout=output, stderr=output
                )
            else:
                process = subprocess.Popen(
                    command, cwd=self.folder, env=environment, stderr=output, stdout=output
                )
        try:
            deadline = time.monotonic() + 30
            while fetch(f"{base_url}/health")[0] != 200:
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.1)
            yield Running(process, log, base_url)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()


def _command_line(folder: Path, url: str) -> CommandLine:
    return CommandLine(
        folder,
        {
            "DATABASE_URL": url,
            "HOST": "127.0.0.1",
            "PORT": str(free_port()),
            "HEARTBEAT_DATA_DIR": str(folder / "data"),
        },
    )


@pytest.fixture
def command_line(tmp_path: Path, database_url: str) -> CommandLine:
    """The command line on each database in turn."""
    return _command_line(tmp_path, database_url)


@pytest.fixture
def on_sqlite(tmp_path: Path) -> CommandLine:
    """The command line with the SQLite file of the data folder, as in a first trial."""
    return _command_line(tmp_path, "")


@pytest.fixture
def on_postgresql(tmp_path: Path, postgres_url: str) -> CommandLine:
    """The command line with a database of its own on PostgreSQL."""
    return _command_line(tmp_path, postgres_url)

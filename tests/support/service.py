"""The real service in a process of its own, seen from outside: HTTP, signals and the command line."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.support.launcher import LAUNCHER, Launched
from tests.support.ports import free_port

ROOT = Path(__file__).resolve().parents[2]


def wait_until(condition: Callable[[], Any], what: str, seconds: float = 20) -> Any:
    """Return the condition's first true value; fail when there is none in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"waited {seconds} s in vain for {what}")


class Service:
    """`serve` with its own data folder and port. May be killed and started again.

    `own_interpreter` starts it as users do, by `python app.py`, for tests of what a start imports;
    otherwise the launcher forks it, which spares most of a second. A `program` of another name, which may
    change a part of the service, gets the arguments as they are.
    """

    program = ROOT / "app.py"
    own_interpreter = False

    def __init__(self, folder: Path, *arguments: str, **settings: str) -> None:
        self.folder = folder
        self.arguments = arguments
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.settings = {
            "HOST": "127.0.0.1",
            "PORT": str(self.port),
            "BASE_URL": self.url,
            "HEARTBEAT_DATA_DIR": str(folder / "data"),
            "HEARTBEAT_ALLOW_PRIVATE_TARGETS": "true",
            **settings,
        }
        self.process: subprocess.Popen[bytes] | Launched | None = None
        self.key = ""

    def __enter__(self) -> Self:
        self.start()
        self.key = self.command("apikey", "create", "--scope", "write").strip()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.process is not None and self.process.poll() is None:
            self.stop()
        if error is not None:
            print(self.log())

    def start(self) -> None:
        """Start it and return when it is healthy."""
        self.process = self.begin(*self.arguments)
        self.wait_until_healthy()

    def wait_until_healthy(self) -> None:
        """Return when it serves."""
        wait_until(self._is_healthy, f"the service to start:\n{self.log()}", 30)

    def begin(self, *arguments: str) -> subprocess.Popen[bytes] | Launched:
        """Start the program with its settings and its log."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "log").open("ab") as log:
            if self.own_interpreter:
                return subprocess.Popen(
                    [sys.executable, str(self.program), *arguments],
                    cwd=self.folder,
                    env=self._environment(),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                )
            as_it_is = self.program == Service.program
            names_a_command = arguments and not arguments[0].startswith("-")
            return LAUNCHER.launch(
                ["serve", *arguments] if as_it_is and not names_a_command else arguments,
                cwd=self.folder,
                env=self._environment(),
                stdout=log,
                stderr=log,
                program=None if as_it_is else self.program,
            )

    def stop(self) -> int:
        """Send SIGTERM and return the exit status."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)

    def kill(self) -> None:
        """Send SIGKILL."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(20)

    def signal(self, number: signal.Signals) -> None:
        """Send any signal, e.g. SIGSTOP and SIGCONT."""
        assert self.process is not None
        self.process.send_signal(number)

    def log(self) -> str:
        """Return all that it has written."""
        path = self.folder / "log"
        return path.read_text() if path.exists() else ""

    def command(self, *arguments: str) -> str:
        """Run `heartbeat-central …` with the same settings and return its standard output."""
        done = self.attempt(*arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def attempt(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run `heartbeat-central …` with the same settings and return what came of it."""
        return LAUNCHER.run(arguments, cwd=self.folder, env=self._environment())

    def api(self, method: str, path: str, body: Any = None) -> Any:
        """Call the REST API and return the JSON it answers with."""
        status, content = self.request(
            method,
            f"/api{path}",
            None if body is None else json.dumps(body).encode(),
            {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"},
        )
        assert status < 300, f"{status}: {content.decode()}"
        return json.loads(content) if content else None

    def beat(self, application: Mapping[str, Any], suffix: str = "") -> dict[str, Any]:
        """Send a heartbeat as a client would and return the answer."""
        status, content = self.request("POST", f"/heartbeat/{application['uuid']}{suffix}")
        assert status == 200, content
        answer: dict[str, Any] = json.loads(content)
        return answer

    def failing(self) -> set[str]:
        """Return the parts that /health names, its status being as it must be."""
        status, body = self.request("GET", "/health")
        found = {
            name
            for name, part in json.loads(body).items()
            if name != "status" and part["status"] == "failing"
        }
        assert status == (503 if found else 200)
        return found

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = 20,
    ) -> tuple[int, bytes]:
        """Send one request and return status and body. Raises OSError without an answer."""
        request = urllib.request.Request(self.url + path, body, dict(headers or {}), method=method)
        try:
            with urllib.request.urlopen(request, timeout=timeout) as response:
                return response.status, response.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def _is_healthy(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"the service ended:\n{self.log()}"
        try:
            return self.request("GET", "/health")[0] == 200
        except OSError:
            return False

    def _environment(self) -> dict[str, str]:
        kept = ("PATH", "HOME", "LANG", "TMPDIR")
        return {**{name: os.environ[name] for name in kept if name in os.environ}, **self.settings}


class OwnInterpreter(Service):
    """Started as users do. See `own_interpreter`."""

    own_interpreter = True

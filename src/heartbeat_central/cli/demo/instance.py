"""A throw-away Heartbeat Central: the real service in a process of its own, in a folder of its own."""

import contextlib
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import heartbeat_central
from heartbeat_central.cli.demo.client import is_ready
from heartbeat_central.cli.failures import CommandFailed

START_SECONDS = 30.0
STOP_SECONDS = 12.0
"""The service drains within 10 s; a little more than that, then it is killed."""
EMAIL = "demo@example.org"

_KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "SYSTEMROOT", "VIRTUAL_ENV")
"""What a service started here takes from our environment: none of the settings of a real one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """A running service and the way in."""

    base_url: str
    email: str
    password: str = field(repr=False)
    process: "subprocess.Popen[bytes]" = field(repr=False)
    environment: dict[str, str] = field(repr=False)
    folder: Path

    def create_api_key(self) -> str:
        """Return a new key that may write, made by the command a script would use."""
        done = subprocess.run(  # noqa: S603 - our own command
            [*_COMMAND, "apikey", "create", "--scope", "write", "--name", "demo"],
            env=self.environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise CommandFailed(f"No API key could be made: {done.stderr.strip()}")
        return done.stdout.strip()

    def ensure_running(self) -> None:
        """Raise CommandFailed with the service's last words when it has ended."""
        if self.process.poll() is not None:
            raise CommandFailed(f"The service ended by itself:\n{_last_words(self.folder)}")


@contextlib.contextmanager
def running_instance(folder: Path, port: int) -> Iterator[Instance]:
    """Start a service in the empty `folder`, yield it when it is ready, and stop it afterwards.

    Raises CommandFailed when it doesn't start.
    """
    password = secrets.token_urlsafe(9)
    environment = _environment(folder, port, password)
    with (folder / "service.log").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 - our own command
            [*_COMMAND, "serve"],
            env=environment,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            # Ctrl-C at the terminal is for the demo, which then stops the service in good order.
            start_new_session=True,
        )
    instance = Instance(
        base_url=f"http://127.0.0.1:{port}",
        email=EMAIL,
        password=password,
        process=process,
        environment=environment,
        folder=folder,
    )
    try:
        _wait_until_ready(instance)
        yield instance
    finally:
        _stop(process)


_COMMAND = (sys.executable, "-m", "heartbeat_central.cli")


def _environment(folder: Path, port: int, password: str) -> dict[str, str]:
    # The package may not be installed: hand on where this very one was found.
    source = str(Path(heartbeat_central.__file__).parents[1])
    return {
        **{name: os.environ[name] for name in _KEPT if name in os.environ},
        "PYTHONPATH": source,
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "BASE_URL": f"http://127.0.0.1:{port}",
        "HEARTBEAT_DATA_DIR": str(folder / "data"),
        "HEARTBEAT_ALLOW_PRIVATE_TARGETS": "true",
        "ADMIN_EMAIL": EMAIL,
        "ADMIN_PASSWORD": password,
    }


def _wait_until_ready(instance: Instance) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not is_ready(instance.base_url):
        instance.ensure_running()
        if time.monotonic() > deadline:
            raise CommandFailed(
                f"The service was not ready after {START_SECONDS:.0f} s:\n"
                f"{_last_words(instance.folder)}"
            )
        time.sleep(0.1)


def _stop(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _last_words(folder: Path) -> str:
    with contextlib.suppress(OSError):
        return "\n".join((folder / "service.log").read_text(errors="replace").splitlines()[-15:])
    return ""

"""The process in which Apprise runs: `python -m heartbeat_central.alerts.apprise.worker`.

Apprise and its plugins know neither a guard nor a deadline nor an end of what they read. Here the
sockets know: in this process, and only here, they are replaced by ones that do. The service itself
never imports Apprise, which takes 32 MB and half a second.

One JSON object a line: jobs on stdin, outcomes on stdout in the order in which they end. It ends
when stdin does, or when nothing was asked of it for a while.
"""

import contextvars
import io
import json
import logging
import os
import socket
import ssl
import sys
import threading
from typing import Any

from heartbeat_central.alerts.sockets import Deadline, TimedSocket, TimedTlsSocket
from heartbeat_central.alerts.targets import is_blocked

IDLE_SECONDS = 300.0
MOST_MEMORY = 2 * 1024**3
"""Bytes of address space: the last resort against an answer that unpacks to something huge."""
STACK = 512 * 1024
"""Bytes a thread; there can be many that wait for a receiver."""


class Job:
    """What one thread works on."""

    def __init__(self, asked: dict[str, Any]) -> None:
        self.id: str = asked["id"]
        self.url: str = asked["url"]
        self.title: str = asked["title"]
        self.body: str = asked["body"]
        self.type: str = asked["type"]
        self.guarded: bool = asked["guarded"]
        self.deadline = Deadline(asked["timeout"])
        self.blocked = False
        self.warnings: list[str] = []


# A context variable rather than a thread-local: Apprise hands its context on to its own threads.
_current: contextvars.ContextVar[Job | None] = contextvars.ContextVar("job", default=None)


def _deadline(_: object) -> Deadline | None:
    job = _current.get()
    return job.deadline if job else None


class WorkerSocket(TimedSocket):
    """Connects only where its job may, and keeps to its deadline."""

    deadline = property(_deadline)

    def connect(self, address: Any) -> None:
        """Connect; raise OSError when a guarded job aims at a private address."""
        job = _current.get()
        if job is not None:
            if job.guarded and _is_private(address):
                job.blocked = True
                raise PermissionError("a private address")
            self.settimeout(job.deadline.left())
        super().connect(address)


class WorkerTlsSocket(TimedTlsSocket):
    """The same under TLS."""

    deadline = property(_deadline)


class Warnings(logging.Handler):
    """Keeps what Apprise says about a job: its result alone is only true or false."""

    def emit(self, record: logging.LogRecord) -> None:
        """Give the record to the job at hand."""
        job = _current.get()
        if job is not None:
            job.warnings.append(record.getMessage())


def _is_private(address: Any) -> bool:
    if not isinstance(address, tuple):
        return True  # a Unix socket
    try:
        return is_blocked(str(address[0]))
    except ValueError:
        return True  # a name: it would be resolved out of our sight


def notify(job: Job) -> dict[str, Any]:
    """Return the outcome: `ok`, `invalid`, `blocked` or `failed`, with what Apprise said."""
    import apprise

    asset = apprise.AppriseAsset(
        app_id="Heartbeat Central",
        app_desc="Heartbeat Central",
        async_mode=False,
        http_redirects=False,
        storage_mode="memory",
        secure_logging=True,
    )
    _current.set(job)
    try:
        service = apprise.Apprise.instantiate(job.url, asset=asset)
        if service is None:
            return {"outcome": "invalid", "said": job.warnings}
        done = service.notify(
            body=job.body,
            title=job.title,
            notify_type=apprise.NotifyType(job.type),
            body_format=apprise.NotifyFormat.TEXT,
        )
    except Exception as error:
        done = False
        job.warnings.append(type(error).__name__)
    if done:
        return {"outcome": "ok", "said": []}
    return {"outcome": "blocked" if job.blocked else "failed", "said": job.warnings}


def _work(job: Job, answers: io.FileIO, lock: threading.Lock) -> None:
    answer = {"id": job.id, **notify(job)}
    with lock:
        answers.write(json.dumps(answer).encode() + b"\n")


def _prepare() -> None:
    socket.socket = WorkerSocket  # type: ignore[misc]
    ssl.SSLContext.sslsocket_class = WorkerTlsSocket
    threading.stack_size(STACK)
    logger = logging.getLogger("apprise")
    logger.setLevel(logging.WARNING)
    logger.addHandler(Warnings())
    logger.propagate = False
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))


def _end_when_idle(asked: threading.Event) -> None:
    while asked.wait(IDLE_SECONDS):
        asked.clear()
    os._exit(0)


def main() -> None:
    """Work until stdin ends or nothing came for IDLE_SECONDS."""
    _prepare()
    # Whatever a library prints must not get between the answers.
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    lock = threading.Lock()
    asked = threading.Event()
    threading.Thread(target=_end_when_idle, args=(asked,), daemon=True).start()
    pending = b""
    while block := os.read(0, 65536):
        asked.set()
        *lines, pending = (pending + block).split(b"\n")
        for line in lines:
            job = Job(json.loads(line))
            threading.Thread(target=_work, args=(job, answers, lock), daemon=True).start()
    # Threads that still wait for a receiver are not waited for.
    os._exit(0)


if __name__ == "__main__":
    main()

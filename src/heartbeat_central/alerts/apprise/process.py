"""Talking to the worker process: started when it is first needed, and again when it has ended."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import suppress
from typing import IO, Any
from uuid import uuid4

from heartbeat_central.domain.errors import TemporaryFailure

MOST_OVERDUE = 64
"""Jobs without an outcome in time, after which the worker is started afresh."""
# Not the whole environment: keys and passwords are none of the worker's business, and proxies are
# not used behind people's backs.
_PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR")


class Worker:
    """One worker process for all threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._run: _Run | None = None

    def ask(self, job: Mapping[str, Any], *, timeout: float) -> dict[str, Any]:
        """Return the worker's answer to `job`. Raises TemporaryFailure when none came in time, or
        when the worker ended before it could answer."""
        id_ = str(uuid4())
        line = json.dumps({**job, "id": id_}).encode() + b"\n"
        with self._lock:
            answer = self._submit(id_, line)
        try:
            return answer.result(timeout)
        except TimeoutError:
            self._overdue(id_)
            raise TemporaryFailure(f"no outcome within {timeout:g} s") from None

    def close(self) -> None:
        """End the worker, if it runs."""
        with self._lock:
            run, self._run = self._run, None
        if run is not None:
            run.stop()

    def _submit(self, id_: str, line: bytes) -> "Future[dict[str, Any]]":
        for _ in range(2):
            if self._run is None or not self._run.alive:
                self._run = _Run()
            # The worker may have ended, for want of work, since it was looked at.
            with suppress(OSError):
                return self._run.submit(id_, line)
        raise TemporaryFailure("the Apprise process could not be started")

    def _overdue(self, id_: str) -> None:
        with self._lock:
            run = self._run
            if run is not None and run.give_up(id_) >= MOST_OVERDUE:
                self._run = None
                run.stop()


class _Run:
    """The worker from its start to its end."""

    def __init__(self) -> None:
        self._answers: dict[str, Future[dict[str, Any]]] = {}
        self._overdue = 0
        self.alive = True
        self._process = subprocess.Popen(
            [sys.executable, "-m", "heartbeat_central.alerts.apprise.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            env=_environment(),
            # Ctrl-C in a terminal reaches the service, which then decides.
            start_new_session=True,
        )
        threading.Thread(target=self._read, name="apprise", daemon=True).start()

    def submit(self, id_: str, line: bytes) -> "Future[dict[str, Any]]":
        """Hand a job over. Raises OSError when the worker has ended."""
        answer: Future[dict[str, Any]] = Future()
        self._answers[id_] = answer
        try:
            _pipe(self._process.stdin).write(line)
        except OSError:
            self._answers.pop(id_, None)
            raise
        return answer

    def give_up(self, id_: str) -> int:
        """Forget a job; return how many were forgotten so far."""
        self._answers.pop(id_, None)
        self._overdue += 1
        return self._overdue

    def stop(self) -> None:
        """End it, whatever it is doing."""
        self._process.kill()

    def _read(self) -> None:
        with _pipe(self._process.stdout) as lines:
            for line in lines:
                answer = json.loads(line)
                waiting = self._answers.pop(answer["id"], None)
                if waiting is not None:
                    waiting.set_result(answer)
        self.alive = False
        for waiting in list(self._answers.values()):
            waiting.set_exception(TemporaryFailure("the Apprise process ended"))
        with suppress(OSError):
            _pipe(self._process.stdin).close()
        self._process.wait()


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None
    return pipe


def _environment() -> dict[str, str]:
    passed_on = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return {**passed_on, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}

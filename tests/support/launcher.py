"""Starts processes of the program without the second that each of them would spend on imports.

A process that has imported the program and done nothing else is kept beside the tests, and forks for
each start. What runs is a process like any other, with its own arguments, folder, environment and
files; it is stopped and killed as any other. Only the interpreter's start and the imports are left
out, so tests of those start a new one: `app.py`, each command once, the workers, a fresh clone.
"""

import contextlib
import importlib
import json
import os
import pkgutil
import runpy
import select
import selectors
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from gc import collect, freeze
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).resolve().parents[2]
_LENGTH = struct.Struct("!I")


# --- in the tests ------------------------------------------------------------------------------


class Launched:
    """A started process; used as a `subprocess.Popen`."""

    def __init__(self, arguments: Sequence[str], pipe: int) -> None:
        self.args = list(arguments)
        self.returncode: int | None = None
        # Its first line is the pid, its second, at the end, what waitpid said.
        self._pipe = pipe
        self._read = b""
        self.pid = int(self._line(None) or 0)

    def poll(self) -> int | None:
        """Return the exit status, negative for a signal; None while it runs."""
        return self._look(0)

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit status once it has ended. Raises subprocess.TimeoutExpired."""
        status = self._look(timeout)
        if status is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return status

    def send_signal(self, number: int) -> None:
        """Send a signal, to nobody when it has ended."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def _look(self, timeout: float | None) -> int | None:
        if self.returncode is None:
            line = self._line(timeout)
            if line is not None:
                self.returncode = os.waitstatus_to_exitcode(int(line))
                os.close(self._pipe)
        return self.returncode

    def _line(self, timeout: float | None) -> bytes | None:
        """Return the next line; None when it doesn't come in time."""
        end = None if timeout is None else time.monotonic() + timeout
        ready = select.poll()
        ready.register(self._pipe, select.POLLIN)
        while b"\n" not in self._read:
            if not ready.poll(None if end is None else max(0, end - time.monotonic()) * 1000):
                return None
            some = os.read(self._pipe, 100)
            if not some:
                raise RuntimeError("the launcher has ended")
            self._read += some
        line, _, self._read = self._read.partition(b"\n")
        return line


class Launcher:
    """The process that forks. It starts with the first launch and ends with `close`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._orders: socket.socket | None = None

    def launch(
        self,
        arguments: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        stdout: IO[Any],
        stderr: IO[Any],
        stdin: IO[Any] | None = None,
        program: Path | None = None,
    ) -> Launched:
        """Start `heartbeat-central ARGUMENTS`, or a `program` with them.

        Without `stdin` it has nothing to read.
        """
        ours, theirs = os.pipe()
        order = json.dumps(
            [list(arguments), str(cwd), dict(env), program and str(program)]
        ).encode()
        try:
            with Path(os.devnull).open("rb") as nothing, self._lock:
                orders = self._open()
                files = [file.fileno() for file in (stdin or nothing, stdout, stderr)]
                socket.send_fds(orders, [_LENGTH.pack(len(order))], [*files, theirs])
                orders.sendall(order)
        finally:
            os.close(theirs)
        return Launched(arguments, ours)

    def run(
        self,
        arguments: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        said: str = "",
        timeout: float = 60,
    ) -> "subprocess.CompletedProcess[str]":
        """Run it to its end with `said` on standard input; return what it wrote and its status."""
        with (
            tempfile.TemporaryFile("w+") as stdin,
            tempfile.TemporaryFile("w+") as stdout,
            tempfile.TemporaryFile("w+") as stderr,
        ):
            stdin.write(said)
            stdin.seek(0)
            process = self.launch(
                arguments, cwd=cwd, env=env, stdin=stdin, stdout=stdout, stderr=stderr
            )
            try:
                status = process.wait(timeout)
            finally:
                process.kill()
            stdout.seek(0)
            stderr.seek(0)
            return subprocess.CompletedProcess(process.args, status, stdout.read(), stderr.read())

    def close(self) -> None:
        """End it. What it has started goes on."""
        if self._orders is not None and self._process is not None:
            self._orders.close()
            self._process.wait(20)
            self._orders = self._process = None

    def _open(self) -> socket.socket:
        if self._orders is None:
            self._orders, theirs = socket.socketpair()
            with theirs:
                self._process = subprocess.Popen(
                    # -P: this folder holds helpers of tests, not modules of the program.
                    [sys.executable, "-P", __file__, str(theirs.fileno())],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    pass_fds=[theirs.fileno()],
                    env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "src")},
                )
        return self._orders


LAUNCHER = Launcher()
"""That of this worker."""


# --- in the launcher ---------------------------------------------------------------------------


def _import_all() -> None:
    """Import the program, and those parts of libraries that are found by name when it runs."""
    import heartbeat_central

    for module in pkgutil.walk_packages(heartbeat_central.__path__, "heartbeat_central."):
        # Migrations are loaded from their files, and __main__ is what is to be run.
        if ".migrations" not in module.name and not module.name.endswith(".__main__"):
            importlib.import_module(module.name)
    for name in (
        # For the migrations of a first start.
        "alembic.command",
        "alembic.config",
        "alembic.operations.batch",
        "sqlalchemy.dialects.sqlite.pysqlite",
        "sqlalchemy.dialects.postgresql.psycopg",
        "uvicorn.lifespan.on",
        "uvicorn.loops.uvloop",
        "uvicorn.protocols.http.httptools_impl",
    ):
        importlib.import_module(name)


def _take_order(orders: socket.socket) -> tuple[list[Any], list[int]] | None:
    """Return the next order and its files; None when there will be no more."""
    head, files, _, _ = socket.recv_fds(orders, _LENGTH.size, 4)
    if not head:
        return None
    (length,) = _LENGTH.unpack(head)
    order = b""
    while len(order) < length:
        order += orders.recv(length - len(order))
    return json.loads(order), files


def _fork_on_order(orders: socket.socket) -> tuple[list[Any], list[int]] | None:
    """Return an order in each child, and None in the launcher, at its end."""
    pipes: dict[int, int] = {}
    ended, on_end = socket.socketpair()
    on_end.setblocking(False)
    signal.set_wakeup_fd(on_end.fileno())
    signal.signal(signal.SIGCHLD, lambda *_: None)
    # Ctrl-C at the terminal is for pytest, which then closes the other end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with selectors.DefaultSelector() as selector:
        selector.register(orders, selectors.EVENT_READ)
        selector.register(ended, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is ended:
                    ended.recv(100)
                    _tell_ends(pipes)
                    continue
                taken = _take_order(orders)
                if taken is None:
                    return None
                files = taken[1]
                pid = os.fork()
                if pid == 0:
                    signal.set_wakeup_fd(-1)
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    signal.signal(signal.SIGINT, signal.default_int_handler)
                    for other in (orders, ended, on_end):
                        other.close()
                    for pipe in (*pipes.values(), files[3]):
                        os.close(pipe)
                    return taken
                for file in files[:3]:
                    os.close(file)
                pipes[pid] = files[3]
                os.write(files[3], b"%d\n" % pid)


def _tell_ends(pipes: dict[int, int]) -> None:
    for pid in list(pipes):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            with contextlib.suppress(BrokenPipeError), os.fdopen(pipes.pop(pid), "wb") as pipe:
                pipe.write(b"%d\n" % status)


def _main() -> None:
    orders = socket.socket(fileno=int(sys.argv[1]))
    _import_all()
    collect()
    freeze()
    taken = _fork_on_order(orders)
    if taken is None:
        return
    (arguments, cwd, env, program), files = taken
    for number, file in enumerate(files[:3]):
        os.dup2(file, number)
        os.close(file)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    time.tzset()
    if program:
        sys.argv = [program, *arguments]
        runpy.run_path(program, run_name="__main__")
    else:
        sys.argv = ["heartbeat-central", *arguments]
        runpy.run_module("heartbeat_central.cli", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    _main()

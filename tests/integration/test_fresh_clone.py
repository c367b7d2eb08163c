"""A newcomer's first minutes: a clone of what is committed, an empty home, nothing installed.

`make run` and the guide's way (`pip install -r requirements.txt`, `cp .env.example .env`,
`python app.py`) build the same virtual environment, so one is built here, by make, and serves both.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from tests.support.missing import missing
from tests.support.ports import free_port

REPOSITORY = Path(__file__).parents[2]
PATIENCE = 240
"""Seconds for the first start, most of which is the download of what is installed."""

KEPT_OUT_OF_IMAGES = ("data", ".env", ".venv", ".git", "tests")
"""Some of what .dockerignore must name: secrets, and what would make an image big."""


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone of the commit that is checked out, with an empty home beside it."""
    for program in ("git", "make"):
        if shutil.which(program) is None:
            missing(f"{program} is not installed")
    if not (REPOSITORY / ".git").exists():
        missing("this is no git repository")
    folder = tmp_path_factory.mktemp("newcomer")
    (folder / "home").mkdir()
    subprocess.run(
        ["git", "clone", "--quiet", "--no-local", str(REPOSITORY), str(folder / "clone")],
        env={**environment(folder), "GIT_CONFIG_GLOBAL": os.devnull},
        check=True,
    )
    return folder / "clone"


def environment(folder: Path, **settings: str) -> dict[str, str]:
    """Return a newcomer's environment: none of our settings or environments, but the way to pip."""
    pip = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    proxies = {
        name: value
        for name, value in os.environ.items()
        if name.lower() in ("http_proxy", "https_proxy", "no_proxy", "ssl_cert_file")
    }
    path = os.pathsep.join(
        part
        for part in os.environ["PATH"].split(os.pathsep)
        if not (Path(part).parent / "pyvenv.cfg").exists()
    )
    return {"PATH": path, "HOME": str(folder / "home"), **pip, **proxies, **settings}


def status_of(url: str, *, method: str = "GET") -> int:
    """Return the status that a URL answers with; 0 when nobody answers."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(urllib.request.Request(url, method=method), timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


@contextlib.contextmanager
def running(
    command: Sequence[str], folder: Path, env: Mapping[str, str]
) -> Iterator["subprocess.Popen[bytes]"]:
    """Yield a service that has said it is healthy; nothing of it is left afterwards."""
    log = folder / "output"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        end = time.monotonic() + PATIENCE
        while status_of(f"http://127.0.0.1:{env['PORT']}/health") != 200:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.1)
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert "Traceback" not in log.read_text(), log.read_text()


def add_application(folder: Path, env: Mapping[str, str]) -> str:
    """Return the heartbeat URL of an application that the clone's own command line makes."""
    done = subprocess.run(
        [".venv/bin/python", "app.py", "app", "add", "Nightly backup", "--interval", "60"],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.timeout(PATIENCE + 120)
def test_a_fresh_clone_runs_by_make_and_by_the_guide_and_in_a_container(clone: Path) -> None:
    port = str(free_port())
    folder = clone.parent

    env = environment(folder, PORT=port, HOST="127.0.0.1", HEARTBEAT_DATA_DIR=str(folder / "data"))
    with running(["make", "run"], clone, env) as make:
        assert status_of(add_application(clone, env), method="POST") == 200
        # What a service manager or Ctrl-C reaches; make itself would die of the signal.
        os.kill(child_of(make.pid), signal.SIGTERM)
        assert make.wait(20) == 0
    assert not (clone / "data").exists()

    # By the guide: the settings come from the copied example, the data folder is the default.
    shutil.copy(clone / ".env.example", clone / ".env")
    env = environment(folder, PORT=port)
    with running([".venv/bin/python", "app.py"], clone, env) as service:
        assert status_of(add_application(clone, env), method="POST") == 200
        service.send_signal(signal.SIGTERM)
        assert service.wait(20) == 0
    assert (clone / "data" / "heartbeat-central.db").exists()

    # In a container: what .dockerignore leaves, and an empty folder for the data.
    image = folder / "image"
    ignored = (clone / ".dockerignore").read_text().split()
    assert set(KEPT_OUT_OF_IMAGES) <= set(ignored)
    shutil.copytree(clone, image, ignore=shutil.ignore_patterns(*ignored))
    assert not (image / ".env").exists()
    python = str(clone / ".venv/bin/python")
    env = environment(folder, PORT=port, PYTHONDONTWRITEBYTECODE="1")
    with running([python, "app.py"], image, env) as service:
        service.send_signal(signal.SIGTERM)
        assert service.wait(20) == 0
    # The clone stays clean: what running leaves behind is all ignored.
    changed = subprocess.run(
        ["git", "status", "--porcelain"], cwd=clone, capture_output=True, text=True, check=True
    )
    assert changed.stdout.replace("?? output\n", "") == ""


def child_of(pid: int) -> int:
    """Return the one process that `pid` has started."""
    listed = subprocess.run(
        ["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True
    )
    pairs = (map(int, line.split()) for line in listed.stdout.splitlines())
    (child,) = [number for number, parent in pairs if parent == pid]
    return child

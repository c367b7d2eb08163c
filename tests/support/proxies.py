"""The real reverse proxies with the configurations of deploy/, on ports of a test's own."""

import contextlib
import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.support.missing import missing
from tests.support.service import wait_until

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"

_AROUND_NGINX = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log stderr;
events {{ worker_connections 256; }}
http {{
    access_log {folder}/access.log;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/heartbeat.conf;
}}
"""

_AROUND_CADDY = """
{{
    admin off
    auto_https off
    storage file_system {folder}/storage
}}
import {deploy}/Caddyfile
"""


@dataclass(frozen=True)
class Behind:
    """Where the proxy listens, and the processes that it routes to."""

    port: int
    record: int
    web: int


Proxy = Callable[[Path, Behind], contextlib.AbstractContextManager[Path]]
"""Runs while its context is open; yields the file that it logs requests to."""


@contextlib.contextmanager
def nginx(folder: Path, behind: Behind) -> Iterator[Path]:
    """Run nginx with deploy/nginx.conf."""
    text = (DEPLOY / "nginx.conf").read_text(encoding="utf-8")
    for shipped, here in (
        ("listen 80;", f"listen 127.0.0.1:{behind.port};"),
        ("server 127.0.0.1:5001;", f"server 127.0.0.1:{behind.record};"),
        ("server 127.0.0.1:5002;", f"server 127.0.0.1:{behind.web};"),
    ):
        assert text.count(shipped) == 1, shipped
        text = text.replace(shipped, here)
    (folder / "heartbeat.conf").write_text(text)
    (folder / "nginx.conf").write_text(_AROUND_NGINX.format(folder=folder))
    with running("nginx", "-p", str(folder), "-c", str(folder / "nginx.conf"), port=behind.port):
        yield folder / "access.log"


@contextlib.contextmanager
def caddy(folder: Path, behind: Behind) -> Iterator[Path]:
    """Run Caddy with deploy/Caddyfile."""
    config = folder / "Caddyfile"
    config.write_text(_AROUND_CADDY.format(folder=folder, deploy=DEPLOY))
    environment = {
        "SITE_ADDRESS": f"http://127.0.0.1:{behind.port}",
        "RECORD": f"127.0.0.1:{behind.record}",
        "WEB": f"127.0.0.1:{behind.web}",
        "HOME": str(folder),
    }
    arguments = ("run", "--adapter", "caddyfile", "--config", str(config))
    with running("caddy", *arguments, port=behind.port, environment=environment) as log:
        yield log


@contextlib.contextmanager
def running(
    program: str, *arguments: str, port: int, environment: Mapping[str, str] | None = None
) -> Iterator[Path]:
    """Run a program, whose last argument is its file of settings, until the context closes.

    Yields its log once it listens on the port.
    """
    # Debian keeps nginx where only root looks.
    path = shutil.which(program, path=os.environ["PATH"] + os.pathsep + "/usr/sbin")
    if path is None:
        missing(f"{program} is not installed: install Debian's")
    log = Path(arguments[-1]).with_name(f"{program}.log")
    with log.open("wb") as output:
        process = subprocess.Popen(
            [path, *arguments],
            env={"PATH": os.environ["PATH"], **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        wait_until(lambda: _listens(port, process, log), f"{program} to start")
        yield log
    finally:
        process.terminate()
        process.wait(20)


def _listens(port: int, process: "subprocess.Popen[bytes]", log: Path) -> bool:
    assert process.poll() is None, log.read_text()
    with contextlib.suppress(OSError):
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    return False

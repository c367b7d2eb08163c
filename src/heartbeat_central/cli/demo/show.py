"""Runs the demo: start, register the cast, play their stories, print each alert, tidy up."""

import heapq
import signal
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from heartbeat_central.cli.demo.applications import CAST, Actor
from heartbeat_central.cli.demo.client import ApiClient, heartbeat
from heartbeat_central.cli.demo.instance import Instance, running_instance
from heartbeat_central.cli.demo.receiver import AlertReceiver
from heartbeat_central.cli.listening import check_port, free_port

FAVOURITE_PORT = 5000
_STYLES = {"down": "bold red", "up": "bold green"}


def run_demo(*, port: int | None, seconds: float | None, speed: float = 1) -> None:
    """Run until Ctrl-C, SIGTERM or `seconds` have passed. Raises CommandFailed, CannotListen."""
    console = Console(highlight=False)
    cast = [actor.at_speed(speed) for actor in CAST]
    if port is None:
        port = free_port("127.0.0.1", FAVOURITE_PORT)
        if port != FAVOURITE_PORT:
            console.print(f"Port {FAVOURITE_PORT} is taken; the pages are on port {port}.")
    else:
        check_port("127.0.0.1", port)
    previous = signal.signal(signal.SIGTERM, _interrupt)
    try:
        with (
            tempfile.TemporaryDirectory(prefix="heartbeat-central-demo-") as folder,
            AlertReceiver(lambda alert: _show_alert(console, alert)) as receiver,
        ):
            console.print("Starting a throw-away instance …")
            with running_instance(Path(folder), port) as instance:
                urls = _register(instance, receiver, cast)
                _introduce(console, instance, cast)
                _play(instance, cast, urls, seconds)
    except KeyboardInterrupt:
        pass
    finally:
        signal.signal(signal.SIGTERM, previous)
    console.print("\nStopped. Nothing is left behind.")


def _register(instance: Instance, receiver: AlertReceiver, cast: Sequence[Actor]) -> list[str]:
    """Register a webhook channel and the cast; return the heartbeat URLs in the cast's order."""
    api = ApiClient(instance.base_url, instance.create_api_key())
    channel = api.post(
        "/api/channels",
        {"name": "This terminal", "type": "webhook", "config": {"url": receiver.url}},
    )
    urls = []
    for actor in cast:
        made = api.post(
            "/api/applications",
            {
                "name": actor.name,
                "description": actor.description,
                "tags": list(actor.tags),
                "expected_interval": actor.interval,
                "grace_period": actor.grace,
                "channels": [channel["id"]],
            },
        )
        if actor.paused:
            api.post(f"/api/applications/{made['id']}/pause")
        urls.append(made["heartbeat_url"])
    return urls


def _introduce(console: Console, instance: Instance, cast: Sequence[Actor]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("application", "every", "grace", "what will happen"):
        table.add_column(column)
    for actor in cast:
        table.add_row(actor.name, f"{actor.interval} s", f"{actor.grace} s", actor.plot)
    console.print(table)
    console.print()
    console.print(f"Open      {instance.base_url}")
    console.print(f"E-mail    {instance.email}")
    console.print(f"Password  {instance.password}", markup=False)
    console.print("\nAlerts appear below as a webhook receives them. Ctrl-C ends the demo.\n")


def _play(
    instance: Instance, cast: Sequence[Actor], urls: Sequence[str], seconds: float | None
) -> None:
    started = time.monotonic()
    ends = None if seconds is None else started + seconds
    queue = _first_calls(cast)
    with ThreadPoolExecutor(len(cast), thread_name_prefix="demo") as pool:
        while ends is None or time.monotonic() < ends:
            instance.ensure_running()
            passed = time.monotonic() - started
            while queue and queue[0][0] <= passed:
                _, number, call, script = heapq.heappop(queue)
                pool.submit(heartbeat, urls[number] + call.path, call.body)
                following = next(script, None)
                if following is not None:
                    heapq.heappush(queue, (following.at, number, following, script))
            time.sleep(0.05)


def _first_calls(cast: Sequence[Actor]) -> list[tuple[float, int, Any, Any]]:
    queue: list[tuple[float, int, Any, Any]] = []
    for number, actor in enumerate(cast):
        script = actor.script()
        first = next(script, None)
        if first is not None:
            heapq.heappush(queue, (first.at, number, first, script))
    return queue


def _show_alert(console: Console, alert: Mapping[str, Any]) -> None:
    event = str(alert.get("event", "?"))
    line = Text(f"{datetime.now().astimezone():%H:%M:%S}  ")
    line.append(f"{event.upper():<8}", style=_STYLES.get(event, "bold"))
    line.append(str(alert.get("text", "")).partition("\n")[0])
    console.print(line, soft_wrap=True)


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt

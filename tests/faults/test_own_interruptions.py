"""The real service is killed and stopped under a healthy client: nobody is told of what it caused."""

import json
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.support.receivers.http import HttpReceiver
from tests.support.service import Service, wait_until


@pytest.fixture
def service(database_url: str, tmp_path: Path) -> Iterator[Service]:
    with Service(tmp_path / "service", DATABASE_URL=database_url) as running:
        yield running


@pytest.fixture
def receiver() -> Iterator[HttpReceiver]:
    with HttpReceiver() as listening:
        yield listening


@contextmanager
def calling(service: Service, application: Mapping[str, Any]) -> Iterator[None]:
    """Call twice a second, whatever comes of it, as a client with a short timeout would."""
    over = threading.Event()

    def call() -> None:
        while not over.is_set():
            # While the service is away; the next one comes in half a second.
            with suppress(OSError):
                service.request("POST", f"/heartbeat/{application['uuid']}", timeout=0.5)
            over.wait(0.5)

    client = threading.Thread(target=call)
    client.start()
    try:
        yield
    finally:
        over.set()
        client.join(10)


def pass_time(seconds: float) -> None:
    end = time.monotonic() + seconds
    wait_until(lambda: time.monotonic() >= end, "time to pass", seconds + 5)


def test_killed_and_stopped_it_alarms_for_the_dead_alone(
    service: Service, receiver: HttpReceiver
) -> None:
    url = receiver.url + "/hook"
    channel = service.api(
        "POST", "/channels", {"name": "hook", "type": "webhook", "config": {"url": url}}
    )

    def application(name: str) -> dict[str, Any]:
        new = {"name": name, "expected_interval": 2, "grace_period": 1, "channels": [channel["id"]]}
        created: dict[str, Any] = service.api("POST", "/applications", new)
        return created

    def downs(name: str) -> list[dict[str, Any]]:
        told = [json.loads(request.body) for request in list(receiver.requests)]
        return [
            one for one in told if one["event"] == "down" and one["application"]["name"] == name
        ]

    healthy, dead = application("healthy"), application("dead")
    with calling(service, healthy):
        for interrupt, go_on in (
            (service.kill, service.start),
            (
                lambda: service.signal(signal.SIGSTOP),
                lambda: service.signal(signal.SIGCONT),
            ),
        ):
            receiver.requests.clear()
            last = datetime.fromisoformat(service.beat(dead)["timestamp"])
            interrupt()
            pass_time(4)
            go_on()
            [down] = wait_until(lambda: downs("dead"), "the dead one to be told", 20)
            assert down["incident"]["reason"] == "missed"
            opened_at = datetime.fromisoformat(down["incident"]["opened_at"])
            # The last proof before it was interrupted may be a second old.
            assert opened_at >= last + timedelta(seconds=3 + 3)
            assert downs("healthy") == []
    incidents = service.api("GET", f"/applications/{healthy['id']}/incidents")
    assert incidents == []
    log = service.log()
    assert '"cause": "stopped"' in log
    assert '"cause": "stalled"' in log

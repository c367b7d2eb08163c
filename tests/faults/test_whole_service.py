"""The whole service from outside: record, notice, tell; and what a crash must not cost."""

import json
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from http.client import HTTPException
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


def events(receiver: HttpReceiver) -> list[dict[str, Any]]:
    return [json.loads(request.body) for request in list(receiver.requests)]


def watched(service: Service, receiver: HttpReceiver, **settings: Any) -> dict[str, Any]:
    """An application with a webhook channel to the receiver."""
    channel = service.api(
        "POST",
        "/channels",
        {"name": "hook", "type": "webhook", "config": {"url": receiver.url + "/hook"}},
    )
    body = {"name": "Backup", "expected_interval": 2, "grace_period": 1, **settings}
    created: dict[str, Any] = service.api(
        "POST", "/applications", {**body, "channels": [channel["id"]]}
    )
    return created


def test_a_lapse_and_a_recovery_are_each_told_once(
    service: Service, receiver: HttpReceiver
) -> None:
    application = watched(service, receiver)
    beat = datetime.fromisoformat(service.beat(application)["timestamp"])
    assert service.api("GET", f"/applications/{application['id']}")["status"] == "up"

    wait_until(lambda: events(receiver), "the down webhook", 10)
    (down,) = events(receiver)
    assert down["event"] == "down"
    assert down["application"]["uuid"] == application["uuid"]
    assert down["incident"]["reason"] == "missed"
    assert datetime.fromisoformat(down["incident"]["opened_at"]) == beat + timedelta(seconds=3)
    assert service.api("GET", f"/applications/{application['uuid']}")["status"] == "down"

    service.beat(application)
    wait_until(lambda: len(events(receiver)) == 2, "the up webhook", 10)
    up = events(receiver)[1]
    assert up["event"] == "up"
    assert up["incident"]["id"] == down["incident"]["id"]
    assert up["incident"]["closed_at"] is not None
    assert up["delivery_id"] != down["delivery_id"]

    path = f"/channels/{application['channels'][0]}/deliveries"

    def recorded() -> bool:
        return [one["status"] for one in service.api("GET", path)] == ["delivered", "delivered"]

    # A receiver knows of a delivery before it is recorded as delivered.
    wait_until(recorded, "both deliveries to be recorded")


def test_what_was_answered_before_a_kill_is_in_the_history(
    service: Service, receiver: HttpReceiver
) -> None:
    application = watched(service, receiver, expected_interval=3600)
    acknowledged: list[str] = []
    stop = threading.Event()

    def beat_on() -> None:
        while not stop.is_set():
            try:
                acknowledged.append(service.beat(application)["timestamp"])
            except (OSError, HTTPException, AssertionError):
                # Killed before it answered, or in the middle of the answer.
                continue

    clients = [threading.Thread(target=beat_on) for _ in range(4)]
    for client in clients:
        client.start()
    for _ in range(2):
        reached = len(acknowledged) + 200
        wait_until(lambda n=reached: len(acknowledged) >= n, "heartbeats")  # type: ignore[misc]
        service.kill()
        service.start()
    stop.set()
    for client in clients:
        client.join(30)
    stored: set[str] = set()
    path = f"/applications/{application['id']}/heartbeats?limit=1000"
    rows = service.api("GET", path)
    stored.update(row["received_at"] for row in rows)
    newest = sorted(acknowledged)[-900:]
    assert set(newest) <= stored


def test_an_alert_that_a_kill_interrupts_arrives_after_the_restart(
    service: Service, receiver: HttpReceiver
) -> None:
    from tests.support.receivers.http import hangs, respond

    receiver.answer = hangs
    application = watched(service, receiver, expected_interval=3600)
    service.beat(application, "/fail")
    wait_until(lambda: receiver.requests, "the first attempt")
    service.kill()
    first = events(receiver)[0]
    receiver.answer = respond()
    service.start()
    # The lease of the killed process must run out first.
    wait_until(lambda: len(receiver.requests) > 1, "the second attempt", 60)
    again = events(receiver)[-1]
    assert again["delivery_id"] == first["delivery_id"]
    assert receiver.requests[-1].headers["webhook-id"] == first["delivery_id"]


def test_sigterm_under_load_loses_nothing_and_ends_well(
    service: Service, receiver: HttpReceiver
) -> None:
    application = watched(service, receiver, expected_interval=3600)
    acknowledged: list[str] = []
    stop = threading.Event()

    def beat_on() -> None:
        while not stop.is_set():
            try:
                acknowledged.append(service.beat(application)["timestamp"])
            except (OSError, HTTPException, AssertionError):
                return

    clients = [threading.Thread(target=beat_on) for _ in range(4)]
    for client in clients:
        client.start()
    wait_until(lambda: len(acknowledged) > 100, "heartbeats")
    assert service.stop() == 0
    stop.set()
    for client in clients:
        client.join(30)
    service.start()
    rows = service.api("GET", f"/applications/{application['id']}/heartbeats?limit=1000")
    stored = {row["received_at"] for row in rows}
    assert set(sorted(acknowledged)[-900:]) <= stored

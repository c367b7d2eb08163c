"""The whole service from outside: record, notice, tell; and what a crash must not cost."""

import json
import re
import socket
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, OpenerDirector, Request, build_opener

import pytest

from tests.support.receivers.http import HttpReceiver, hangs, respond
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


def test_an_alert_that_a_kill_interrupts_arrives_after_the_restart(
    service: Service, receiver: HttpReceiver
) -> None:
    receiver.answer = hangs
    application = watched(service, receiver, expected_interval=3600)
    service.beat(application, "/fail")
    wait_until(lambda: receiver.requests, "the first attempt")
    service.kill()
    first = events(receiver)[0]
    receiver.answer = respond()
    service.start()
    # On PostgreSQL another node could hold the lease, so it must run out first.
    wait_until(lambda: len(receiver.requests) > 1, "the second attempt", 60)
    again = events(receiver)[-1]
    assert again["delivery_id"] == first["delivery_id"]
    assert receiver.requests[-1].headers["webhook-id"] == first["delivery_id"]


def test_sigterm_ends_within_ten_seconds_whatever_hangs(
    sqlite_url: str, tmp_path: Path, receiver: HttpReceiver
) -> None:
    """A receiver that never answers, a body that never ends, a page that stays open."""
    receiver.answer = hangs
    account: dict[str, Any] = {
        "ADMIN_EMAIL": "ops@example.org",
        "ADMIN_PASSWORD": "a long password of ours",
    }
    with Service(tmp_path / "service", DATABASE_URL=sqlite_url, **account) as service:
        application = watched(service, receiver, expected_interval=3600)
        beat = service.beat(application, "/fail")
        wait_until(lambda: receiver.requests, "the first attempt")
        with (
            socket.create_connection(("127.0.0.1", service.port)) as half_sent,
            closing(signed_in(service, account).open(service.url + "/events")) as page,
        ):
            head = f"POST /heartbeat/{application['uuid']} HTTP/1.1\r\nHost: x\r\n"
            half_sent.sendall(head.encode() + b"Content-Length: 100\r\n\r\nhalf")
            assert page.readline() == b"retry: 2000\n"
            before = time.monotonic()
            assert service.stop() == 0
            assert time.monotonic() - before < 10
            assert b"503 Service Unavailable" in half_sent.recv(1000)
        assert "delivery_interrupted" in service.log()

        receiver.answer = respond()
        service.start()
        wait_until(lambda: len(receiver.requests) > 1, "the interrupted alert", 5)
        first, again = events(receiver)
        assert again["delivery_id"] == first["delivery_id"]
        path = f"/applications/{application['id']}/heartbeats"
        assert [row["received_at"] for row in service.api("GET", path)] == [beat["timestamp"]]
        assert "Traceback" not in service.log()


def signed_in(service: Service, account: dict[str, str]) -> OpenerDirector:
    """Return a browser, as far as cookies go, that has signed in."""
    browser = build_opener(HTTPCookieProcessor(CookieJar()))
    address = service.url + "/sign-in"
    form = browser.open(address).read().decode()
    token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', form)
    assert token is not None
    fields = {
        "csrf_token": token[1],
        "email": account["ADMIN_EMAIL"],
        "password": account["ADMIN_PASSWORD"],
    }
    browser.open(Request(address, urlencode(fields).encode(), {"Referer": address}))
    return browser

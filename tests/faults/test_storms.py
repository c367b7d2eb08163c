"""Twelve applications fall silent together, in the whole service: one digest, whatever is killed."""

import json
from collections.abc import Iterator
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


def outages_told(events: list[dict[str, Any]], *, closed: bool) -> list[int]:
    """Return the outages that these events tell of as closed or open, as often as they are told."""
    told = [
        incident for event in events for incident in event.get("incidents", [event["incident"]])
    ]
    return sorted(one["id"] for one in told if (one["closed_at"] is not None) == closed)


def lapse(service: Service, receiver: HttpReceiver) -> list[dict[str, Any]]:
    """Let twelve applications with one channel go down; return them once all are."""
    hook = service.api(
        "POST", "/channels", {"name": "hook", "type": "webhook", "config": {"url": receiver.url}}
    )
    some = [
        service.api(
            "POST",
            "/applications",
            {
                "name": f"app {number}",
                "expected_interval": 2,
                "grace_period": 1,
                "channels": [hook["id"]],
            },
        )
        for number in range(12)
    ]
    for one in some:
        service.beat(one)
    wait_until(lambda: len(service.api("GET", "/incidents")) == 12, "twelve incidents", 20)
    return some


def test_a_storm_and_its_end_are_told_in_digests(service: Service, receiver: HttpReceiver) -> None:
    some = lapse(service, receiver)
    incidents = sorted(one["id"] for one in service.api("GET", "/incidents"))
    wait_until(lambda: set(outages_told(events(receiver), closed=False)) == set(incidents), "all")
    downs = events(receiver)
    assert [one["event"] for one in downs if one["event"] != "down"] == ["digest"]
    assert len(downs) < 12
    alone = [one["incident"]["id"] for one in downs if one["event"] == "down"]
    listed = [incident["id"] for incident in downs[-1]["incidents"]]
    assert sorted(listed) == incidents, "those that were told alone are in the list too"
    assert set(alone) < set(listed)

    for one in some:
        service.beat(one)
    wait_until(lambda: outages_told(events(receiver), closed=True) == incidents, "all closed")
    ups = events(receiver)[len(downs) :]
    assert [one["event"] for one in ups] == ["digest"]


def test_a_kill_while_alerts_are_held_costs_none(service: Service, receiver: HttpReceiver) -> None:
    lapse(service, receiver)
    service.kill()
    incidents = set(range(1, 13))
    service.start()
    wait_until(lambda: set(outages_told(events(receiver), closed=False)) == incidents, "all", 60)
    assert [one["event"] for one in events(receiver)].count("digest") == 1

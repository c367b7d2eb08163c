"""A real service falls silent towards its watchdog when a part of it is broken, and /health names it."""

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import text

from heartbeat_central.storage.engine import open_database
from tests.support.receivers.http import HttpReceiver
from tests.support.service import ROOT, Service, wait_until


class Impatient(Service):
    """Calls its watchdog twice a second; a part that stands still for three is broken."""

    program = ROOT / "tests" / "support" / "impatient.py"


@pytest.fixture
def receiver() -> Iterator[HttpReceiver]:
    with HttpReceiver() as listening:
        yield listening


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'served.db'}"
    return str(request.getfixturevalue("postgres_url"))


def failing(service: Service) -> set[str]:
    """Return the parts that /health names, and check that its status fits."""
    status, body = service.request("GET", "/health")
    found = {
        name
        for name, part in json.loads(body).items()
        if name != "status" and part["status"] == "failing"
    }
    assert status == (503 if found else 200)
    return found


def names(service: Service, part: str) -> bool:
    return part in failing(service)


def rename(url: str, table: str, to: str) -> None:
    database = open_database(url)
    with database.write() as connection:
        connection.execute(text(f"ALTER TABLE {table} RENAME TO {to}"))
    database.close()


def test_it_is_called_only_while_every_part_works(
    url: str, tmp_path: Path, receiver: HttpReceiver
) -> None:
    # Each part needs a table that the others don't: without it that part alone stands still.
    needed = {"ingest": "nodes", "detector": "application_states", "outbox": "deliveries"}
    with Impatient(tmp_path, DATABASE_URL=url, WATCHDOG_URL=f"{receiver.url}/hook") as service:
        for part, table in needed.items():
            wait_until(lambda: receiver.requests, "the watchdog to be called")
            rename(url, table, "gone")
            wait_until(partial(names, service, part), f"/health to name {part}")
            assert failing(service) == {part}
            # One call may have been under way.
            heard = len(receiver.requests)
            wait_until(lambda: "watchdog_not_called" in service.log(), "the log to tell")
            assert len(receiver.requests) <= heard + 1
            rename(url, "gone", table)
            wait_until(lambda: not failing(service), f"{part} to work again")
            receiver.requests.clear()


def test_two_watch_each_other(tmp_path: Path, receiver: HttpReceiver) -> None:
    one, other = Impatient(tmp_path / "one"), Impatient(tmp_path / "other")
    with one, other:
        watched = {}
        for service in (one, other):
            channel = service.api(
                "POST",
                "/channels",
                {"name": "ops", "type": "webhook", "config": {"url": f"{receiver.url}/ops"}},
            )
            watched[service] = service.api(
                "POST",
                "/applications",
                {
                    "name": "The other Heartbeat Central",
                    "expected_interval": 2,
                    "grace_period": 2,
                    "expect_first_heartbeat": False,
                    "channels": [channel["id"]],
                },
            )
        one.settings["WATCHDOG_URL"] = watched[other]["heartbeat_url"]
        other.settings["WATCHDOG_URL"] = watched[one]["heartbeat_url"]
        for service in (one, other):
            service.stop()
            service.start()

        def status(service: Impatient) -> str:
            found = service.api("GET", f"/applications/{watched[service]['id']}")
            return str(found["status"])

        wait_until(lambda: status(one) == status(other) == "up", "each to hear the other")
        assert receiver.requests == []
        one.kill()
        wait_until(lambda: receiver.requests, "the one that is left to tell", 15)
        told = json.loads(receiver.requests[0].body)
        assert told["event"] == "down"
        assert told["application"]["uuid"] == watched[other]["uuid"]
        one.start()
        wait_until(lambda: status(other) == "up", "it to be heard again")

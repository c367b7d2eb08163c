"""A real service falls silent towards its watchdog when a part fails, hangs or dies; /health names it."""

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
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


@contextmanager
def locked(url: str, table: str) -> Iterator[None]:
    """Let whatever needs the table hang."""
    with psycopg.connect(url) as connection:
        connection.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        yield


@contextmanager
def gone(url: str, table: str) -> Iterator[None]:
    """Let whatever needs the table fail."""
    database = open_database(url)
    for before, after in ((table, "gone"), ("gone", table)):
        with database.write() as connection:
            connection.execute(text(f"ALTER TABLE {before} RENAME TO {after}"))
        if after == "gone":
            yield
    database.close()


def test_it_is_called_only_while_no_part_hangs(
    postgres_url: str, tmp_path: Path, receiver: HttpReceiver
) -> None:
    # Each part needs a table that the others don't: without it that part alone stands still.
    needed = {"ingest": "nodes", "detector": "application_states", "outbox": "deliveries"}
    settings = {"DATABASE_URL": postgres_url, "WATCHDOG_URL": f"{receiver.url}/hook"}
    with Impatient(tmp_path, **settings) as service:
        for part, table in needed.items():
            wait_until(lambda: receiver.requests, "the watchdog to be called")
            with locked(postgres_url, table):
                check_that_it_is_told(service, receiver, {part})
            wait_until(lambda: not service.failing(), f"{part} to work again")
            receiver.requests.clear()


def test_nor_while_one_fails_or_has_died(tmp_path: Path, receiver: HttpReceiver) -> None:
    url = f"sqlite:///{tmp_path / 'served.db'}"
    settings = {"DATABASE_URL": url, "WATCHDOG_URL": f"{receiver.url}/hook"}
    with Impatient(tmp_path, **settings) as service:
        application = service.api("POST", "/applications", {"name": "A", "expected_interval": 60})
        # A thread that stores heartbeats is replaced when it dies.
        service.signal(signal.SIGUSR1)
        wait_until(lambda: "writer_died" in service.log(), "the writer to die")
        assert service.beat(application)["status"] == "ok"
        wait_until(lambda: not service.failing(), "the next writer to be known as well")
        with gone(url, "nodes"):
            check_that_it_is_told(service, receiver, {"ingest"})
        wait_until(lambda: not service.failing(), "ingest to work again")
        # The one that starts all jobs is not: whoever watches starts the service again.
        service.signal(signal.SIGUSR2)
        check_that_it_is_told(service, receiver, {"detector", "outbox"})
        assert service.beat(application)["status"] == "ok"
        service.stop()
        service.start()
        assert service.failing() == set()


def check_that_it_is_told(service: Service, receiver: HttpReceiver, parts: set[str]) -> None:
    wait_until(lambda: service.failing() == parts, f"/health to name {parts}")
    # One call may have been under way.
    heard = len(receiver.requests)
    wait_until(lambda: "watchdog_not_called" in service.log(), "the log to tell")
    assert len(receiver.requests) <= heard + 1


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

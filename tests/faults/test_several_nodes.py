"""Three nodes on one PostgreSQL, of which some are killed or stand still: the others do their work."""

import json
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime, timedelta
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Table, select

from heartbeat_central.services.deliver_alerts import LEASE
from heartbeat_central.storage import tables
from heartbeat_central.storage.engine import open_database
from heartbeat_central.storage.engine_postgresql import IDLE_IN_TRANSACTION
from tests.faults.doomed_service import Doomed
from tests.support.receivers.http import HttpReceiver
from tests.support.service import wait_until

MOMENT = 5
"""Seconds for what else it takes, on a machine that does other things as well."""


@pytest.fixture
def receiver() -> Iterator[HttpReceiver]:
    with HttpReceiver() as listening:
        yield listening


@pytest.fixture
def nodes(postgres_url: str, tmp_path: Path) -> Iterator[list[Doomed]]:
    """Three nodes, of which only the first runs yet."""
    three = [
        Doomed(tmp_path / name, DATABASE_URL=postgres_url, SECRET_KEY="the same for all of them")
        for name in ("one", "two", "three")
    ]
    with ExitStack() as stack:
        first, *others = three
        stack.enter_context(first)
        for other in others:
            stack.callback(stop, other)
            other.key = first.key
        yield three


def stop(node: Doomed) -> None:
    if node.process is not None and node.process.poll() is None:
        node.process.send_signal(signal.SIGCONT)
        node.stop()


def channel(node: Doomed, receiver: HttpReceiver) -> int:
    config = {"url": receiver.url + "/hook"}
    made = node.api("POST", "/channels", {"name": "hook", "type": "webhook", "config": config})
    return int(made["id"])


def dies(node: Doomed, name: str, channel: int) -> dict[str, Any]:
    """Return an application that never calls and is due in a second."""
    made: dict[str, Any] = node.api(
        "POST", "/applications", {"name": name, "expected_interval": 1, "channels": [channel]}
    )
    return made


def downs(receiver: HttpReceiver, application: dict[str, Any]) -> list[str]:
    """Return the ids of the deliveries that told that it is down."""
    told = [(json.loads(one.body), one.headers["webhook-id"]) for one in list(receiver.requests)]
    return [
        id_
        for body, id_ in told
        if body["event"] == "down" and body["application"]["id"] == application["id"]
    ]


def delivered(node: Doomed, application: dict[str, Any]) -> Any:
    """Return the one delivery about it, once it is marked as delivered."""
    rows = node.api("GET", f"/channels/{application['channels'][0]}/deliveries?limit=100")
    [delivery] = [one for one in rows if one["application_id"] == application["id"]] or [None]
    return delivery if delivery and delivery["status"] == "delivered" else None


def has_one_incident(node: Doomed, application: dict[str, Any]) -> None:
    [incident] = node.api("GET", f"/applications/{application['id']}/incidents")
    created_at = datetime.fromisoformat(application["created_at"])
    assert datetime.fromisoformat(incident["opened_at"]) == created_at + timedelta(seconds=1)


def stored(url: str, table: Table) -> Sequence[Any]:
    database = open_database(url)
    try:
        with database.read() as connection:
            return connection.execute(select(table)).all()
    finally:
        database.close()


@pytest.mark.parametrize(
    "step", ["before it is sent", pytest.param("after it is sent", marks=pytest.mark.soak)]
)
def test_one_that_stands_still_while_it_sends_is_overtaken_and_its_mark_counts_no_more(
    nodes: list[Doomed], receiver: HttpReceiver, postgres_url: str, step: str
) -> None:
    first, second, third = nodes
    first.stop_at(step)
    application = dies(first, "dead", channel(first, receiver))
    first.wait_until_stopped()
    second.start()
    third.start()
    # Another of its threads may have stopped in the middle of a transaction, with locks in its hands.
    patience = LEASE.total_seconds() + IDLE_IN_TRANSACTION + MOMENT
    delivery = wait_until(lambda: delivered(second, application), "another to tell", patience)
    assert delivery["attempts"] == 2
    first.signal(signal.SIGCONT)
    wait_until(
        lambda: "lease_lost" in first.log(), "the first one to learn that it is too late", patience
    )
    # It had it in its hands and could not know: that is the one duplicate there may be.
    wait_until(lambda: len(downs(receiver, application)) > 1, "the second send")
    assert downs(receiver, application) == [delivery["delivery_id"]] * 2
    assert delivered(third, application) == delivery
    has_one_incident(third, application)


@pytest.mark.soak
@pytest.mark.parametrize("step", ["noticed, before the commit", "noticed, after the commit"])
def test_one_that_stands_still_while_it_notices_leaves_it_to_others(
    nodes: list[Doomed], receiver: HttpReceiver, step: str
) -> None:
    first, second, third = nodes
    second.start()
    third.start()
    hook = channel(first, receiver)
    # Whichever looks first stands still.
    for node in nodes:
        node.stop_at(step)
    application = dies(first, "dead", hook)
    stopped = wait_until(lambda: [one for one in nodes if is_stopped(one)], "one to stand still")
    for node in nodes:
        (node.folder / "stop-at").unlink(missing_ok=True)
    [other, *_] = [one for one in nodes if one not in stopped]
    wait_until(
        lambda: delivered(other, application), "another to tell", IDLE_IN_TRANSACTION + MOMENT
    )
    for node in stopped:
        node.signal(signal.SIGCONT)
    again = dies(first, "dead as well", hook)
    wait_until(lambda: delivered(first, again), "the next outage to be told")
    assert len(downs(receiver, application)) == len(downs(receiver, again)) == 1
    has_one_incident(first, application)


def is_stopped(node: Doomed) -> bool:
    assert node.process is not None
    return ") T " in Path(f"/proc/{node.process.pid}/stat").read_text()


@pytest.mark.soak
def test_any_of_three_may_be_killed_and_nobody_notices(
    nodes: list[Doomed], receiver: HttpReceiver, postgres_url: str
) -> None:
    for node in nodes[1:]:
        node.start()
    # One that has just started waits for a sign of life of the others: kill the only one that could give
    # it, and the rest can't know whether anybody could receive in between.
    wait_until(lambda: len(stored(postgres_url, tables.nodes)) == len(nodes), "each to prove it")
    hook = channel(nodes[0], receiver)
    before = len(stored(postgres_url, tables.blind_windows))
    calls = {"name": "healthy", "expected_interval": 5, "grace_period": 5, "channels": [hook]}
    healthy = nodes[0].api("POST", "/applications", calls)
    with calling(nodes, healthy):
        for number, node in enumerate(nodes * 2):
            other = nodes[(number + 1) % 3]
            application = dies(other, f"dead {number}", hook)
            node.kill()

            def is_told(other: Doomed = other, application: dict[str, Any] = application) -> Any:
                return delivered(other, application)

            wait_until(is_told, "another to tell", LEASE.total_seconds() + MOMENT)
            assert len(set(downs(receiver, application))) == 1
            assert len(downs(receiver, application)) <= 2
            has_one_incident(other, application)
            other.api("DELETE", f"/applications/{application['id']}")
            node.start()
    assert len(stored(postgres_url, tables.blind_windows)) == before, (
        "somebody could receive all the time"
    )
    assert nodes[0].api("GET", f"/applications/{healthy['id']}/incidents") == []


@contextmanager
def calling(nodes: Sequence[Doomed], application: dict[str, Any]) -> Iterator[None]:
    """Call one node after the other, all the time, as through a proxy that knows who is up."""
    over = threading.Event()

    def call() -> None:
        while not over.is_set():
            for node in nodes:
                with suppress(OSError, HTTPException, AssertionError):
                    node.beat(application)
            over.wait(0.5)

    client = threading.Thread(target=call)
    client.start()
    try:
        yield
    finally:
        over.set()
        client.join(30)

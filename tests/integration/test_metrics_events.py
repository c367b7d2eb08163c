"""Whatever /metrics tells is moved by what it tells of, on two real workers whose counts add up."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text

from heartbeat_central import __version__
from heartbeat_central.storage.engine import Database, open_database
from tests.support import postgres
from tests.support.receivers.http import HttpReceiver, respond
from tests.support.samples import samples, value
from tests.support.service import Service, wait_until

pytestmark = pytest.mark.postgres

OURS = "heartbeat_central_"
DAY = 86_400


class Scene:
    """Two workers, three receivers that answer each in their way, and a hand in the database."""

    def __init__(self, service: Service, database: Database, receivers: dict[str, str]) -> None:
        self.service = service
        self._database = database
        self._channels = {
            name: service.api(
                "POST", "/channels", {"name": name, "type": "webhook", "config": {"url": url}}
            )["id"]
            for name, url in receivers.items()
        }
        self._numbers = iter(range(1_000))

    def application(self, interval: int = DAY, *, tells: str = "") -> dict[str, Any]:
        """Make an application; with `tells`, one whose alerts go to that receiver."""
        body = {
            "name": f"application {next(self._numbers)}",
            "expected_interval": interval,
            "channels": [self._channels[tells]] if tells else [],
        }
        created: dict[str, Any] = self.service.api("POST", "/applications", body)
        return created

    def status(self, application: dict[str, Any], suffix: str = "") -> int:
        """Send a heartbeat and return what it was answered with."""
        return self.service.request("POST", f"/heartbeat/{application['uuid']}{suffix}")[0]

    def run(self, *statements: str) -> None:
        """Change something behind the service's back."""
        with self._database.write() as connection:
            for statement in statements:
                connection.execute(text(statement))

    @contextmanager
    def before_each_row(self, table: str, event: str, do: str) -> Iterator[None]:
        """Have the database `do` this before each row of that kind."""
        self.run(
            "CREATE FUNCTION before_it() RETURNS trigger LANGUAGE plpgsql AS"
            f" $$ BEGIN {do}; RETURN NEW; END $$",
            f"CREATE TRIGGER before_it BEFORE {event} ON {table}"
            " FOR EACH ROW EXECUTE FUNCTION before_it()",
        )
        try:
            yield
        finally:
            self.run("DROP FUNCTION before_it CASCADE")

    @contextmanager
    def locked(self, table: str) -> Iterator[None]:
        """Let nobody else write that table."""
        with self._database.write() as connection:
            connection.execute(text(f"LOCK TABLE {table} IN EXCLUSIVE MODE"))
            yield

    def settle(self) -> None:
        """Wait for what the event before had sent: it would lower a gauge in the middle of this one."""
        query = text(
            "SELECT count(*) FROM deliveries WHERE status = 'pending' AND channel_id <> :ill"
        )

        def none_wait() -> bool:
            with self._database.read() as connection:
                waiting = connection.execute(query, {"ill": self._channels["ill"]}).scalar_one()
            return bool(waiting == 0)

        wait_until(none_wait, "what others are to be sent")

    def told(self) -> bytes:
        """Return what one of the workers tells."""
        status, body = self.service.request("GET", "/metrics")
        assert status == 200
        return body


@pytest.fixture(scope="module")
def scene(postgres_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with ExitStack() as stack:
        url = stack.enter_context(postgres.fresh_database())
        receivers = {
            "well": stack.enter_context(HttpReceiver()).url,
            "ill": stack.enter_context(HttpReceiver(respond(500))).url,
            "gone": stack.enter_context(HttpReceiver(respond(400))).url,
        }
        folder = tmp_path_factory.mktemp("metrics")
        service = stack.enter_context(Service(folder, "--workers", "2", DATABASE_URL=url))
        database = stack.enter_context(closing(open_database(url)))
        yield Scene(service, database, receivers)


# --- what happens ------------------------------------------------------------------------------

Event = Callable[[Scene], Iterator[None]]
"""Makes it happen, and after the yield undoes what must not stay."""


def a_heartbeat(scene: Scene) -> Iterator[None]:
    assert scene.status(scene.application()) == 200
    yield


def a_heartbeat_of_a_paused_one(scene: Scene) -> Iterator[None]:
    application = scene.application()
    scene.service.api("POST", f"/applications/{application['id']}/pause")
    assert scene.status(application) == 200
    yield


def a_heartbeat_of_nobody(scene: Scene) -> Iterator[None]:
    assert scene.status({"uuid": uuid4()}) == 404
    yield


def a_heartbeat_that_the_database_objects_to(scene: Scene) -> Iterator[None]:
    application = scene.application()
    objects = f"IF NEW.application_id = {application['id']} THEN RAISE 'no'; END IF"
    with scene.before_each_row("heartbeats", "INSERT", objects):
        assert scene.status(application) == 503
    yield


def a_heartbeat_that_can_not_be_stored_in_time(scene: Scene) -> Iterator[None]:
    application = scene.application()
    with scene.locked("heartbeats"):
        assert scene.status(application) == 503
    yield


def more_heartbeats_than_the_database_takes(scene: Scene) -> Iterator[None]:
    application = scene.application()
    over = threading.Event()

    def beat_on() -> None:
        while not over.is_set():
            scene.status(application)

    clients = [threading.Thread(target=beat_on) for _ in range(8)]
    with scene.before_each_row("heartbeats", "INSERT", "PERFORM pg_sleep(0.1)"):
        for client in clients:
            client.start()
        try:
            yield
        finally:
            over.set()
            for client in clients:
                client.join()


def a_new_application(scene: Scene) -> Iterator[None]:
    scene.application()
    yield


def silence(scene: Scene) -> Iterator[None]:
    scene.application(interval=1)
    yield


def an_alert_that_arrives(scene: Scene) -> Iterator[None]:
    assert scene.status(scene.application(tells="well"), "/fail") == 200
    yield


def an_alert_to_somebody_who_is_ill(scene: Scene) -> Iterator[None]:
    assert scene.status(scene.application(tells="ill"), "/fail") == 200
    yield


def an_alert_to_somebody_who_wants_none(scene: Scene) -> Iterator[None]:
    assert scene.status(scene.application(tells="gone"), "/fail") == 200
    yield


def an_alert_that_nobody_can_take(scene: Scene) -> Iterator[None]:
    with scene.before_each_row("deliveries", "UPDATE", "RAISE 'no'"):
        assert scene.status(scene.application(tells="well"), "/fail") == 200
        yield


def nonsense_in_a_row(scene: Scene) -> Iterator[None]:
    application = scene.application(interval=1)
    scene.run(f"UPDATE applications SET expected_interval = NULL WHERE id = {application['id']}")
    yield


# --- what it moves -----------------------------------------------------------------------------

Series = tuple[str, frozenset[tuple[str, str]]]


def heartbeats(outcome: str) -> Series:
    return series("heartbeats_total", outcome=outcome)


def attempts(outcome: str) -> Series:
    return series("delivery_attempts_total", plugin="webhook", outcome=outcome)


def histogram(name: str, **labels: str) -> list[Series]:
    return [series(f"{name}_{part}", **labels) for part in ("count", "sum")]


def series(name: str, **labels: str) -> Series:
    return OURS + name, frozenset(labels.items())


MOVES: dict[Event, list[Series]] = {
    a_heartbeat: [
        heartbeats("stored"),
        *histogram("batch_size"),
        *histogram("commit_seconds"),
        series("applications", status="up"),
    ],
    a_heartbeat_of_a_paused_one: [heartbeats("paused"), series("applications", status="paused")],
    a_heartbeat_of_nobody: [heartbeats("unknown")],
    a_heartbeat_that_the_database_objects_to: [heartbeats("failed")],
    a_heartbeat_that_can_not_be_stored_in_time: [heartbeats("refused")],
    more_heartbeats_than_the_database_takes: [series("queue_depth")],
    a_new_application: [series("applications", status="new")],
    silence: [*histogram("detection_latency_seconds"), series("open_incidents")],
    an_alert_that_arrives: [
        attempts("delivered"),
        *histogram("delivery_attempt_seconds", plugin="webhook"),
        *histogram("delivery_latency_seconds", plugin="webhook"),
        series("applications", status="down"),
    ],
    an_alert_to_somebody_who_is_ill: [
        attempts("retry"),
        series("deliveries", status="pending"),
        series("outbox_age_seconds"),
    ],
    an_alert_that_nobody_can_take: [series("outbox_lag_seconds")],
    nonsense_in_a_row: [series("unreadable_applications")],
    # Last: the other channels are told of it, whenever that may be.
    an_alert_to_somebody_who_wants_none: [attempts("dead"), series("deliveries", status="dead")],
}
"""What is not in here fails the last test. Fewer applications go down than make a storm."""


@pytest.mark.parametrize("event", MOVES, ids=lambda event: event.__name__)
def test_what_happens_moves_what_tells_of_it(scene: Scene, event: Event) -> None:
    scene.settle()
    before = samples(scene.told())
    for one in MOVES[event]:
        before.setdefault(one, 0.0)
    still = set(MOVES[event])

    def moved() -> bool:
        now = samples(scene.told())
        still.difference_update([one for one in still if now.get(one, 0.0) > before[one]])
        return not still

    with contextmanager(event)(scene):
        wait_until(moved, f"these to move: {still}")


def test_no_series_is_forgotten(scene: Scene) -> None:
    told = scene.told()
    assert value(told, "build_info", version=__version__) == 1
    found = {one for one in samples(told) if not one[0].endswith(("_bucket", "_build_info"))}
    moved = {one for series in MOVES.values() for one in series}
    assert found <= moved
    # Those of a plugin are there from its first attempt on.
    assert {one for one in moved - found if ("plugin", "webhook") not in one[1]} == set()

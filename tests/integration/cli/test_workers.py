"""`serve --workers` and `serve --only`: several processes that do what one does."""

import json
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from heartbeat_central.domain.work import Work
from heartbeat_central.wiring.serving import GIVES_WAY
from tests.integration.cli.conftest import CommandLine
from tests.support.receivers.http import HttpReceiver
from tests.support.samples import value
from tests.support.service import OwnInterpreter, Service, wait_until


@pytest.fixture
def pair(postgres_url: str, tmp_path: Path) -> Iterator[Service]:
    """Two workers on PostgreSQL."""
    with Service(tmp_path / "service", "--workers", "2", DATABASE_URL=postgres_url) as service:
        yield service


def workers(service: Service) -> dict[int, int]:
    """Return the pids of the running workers by their numbers."""
    running = {}
    for line in map(json.loads, service.log().splitlines()):
        if line["event"] == "worker_started":
            running[line["worker"]] = line["pid"]
        elif line["event"] == "worker_ended":
            del running[line["worker"]]
    return running


def is_there(pid: int) -> bool:
    try:
        # A zombie is there as well; it has ended all the same.
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False


def stored(service: Service) -> float:
    return value(service.request("GET", "/metrics")[1], "heartbeats_total", outcome="stored")


def test_a_worker_that_is_killed_is_replaced_and_nothing_acknowledged_is_lost(
    pair: Service,
) -> None:
    application = pair.api("POST", "/applications", {"name": "Shop", "expected_interval": 3600})
    acknowledged: list[str] = []
    stop = threading.Event()

    def beat_on() -> None:
        while not stop.is_set():
            try:
                acknowledged.append(pair.beat(application)["timestamp"])
            except OSError:
                continue

    clients = [threading.Thread(target=beat_on) for _ in range(4)]
    for client in clients:
        client.start()
    wait_until(lambda: len(acknowledged) > 50, "heartbeats")
    before = workers(pair)
    os.kill(before[1], signal.SIGKILL)
    wait_until(lambda: workers(pair).get(1, before[1]) != before[1], "another worker")
    assert workers(pair)[2] == before[2]
    reached = len(acknowledged) + 50
    wait_until(lambda: len(acknowledged) > reached, "heartbeats afterwards")
    stop.set()
    for client in clients:
        client.join(30)
    rows = pair.api("GET", f"/applications/{application['id']}/heartbeats?limit=1000")
    assert set(sorted(acknowledged)[-900:]) <= {row["received_at"] for row in rows}
    # One worker tells what both have counted, and the dead one before them. What was answered is
    # counted right afterwards; by the one that was killed, the last batch may not have been.
    assert stored(pair) >= len(acknowledged) - len(clients)

    assert pair.stop() == 0
    assert not any(is_there(pid) for pid in (*before.values(), *workers(pair).values()))
    assert "Traceback" not in pair.log()


def test_workers_end_with_their_supervisor(pair: Service) -> None:
    pids = workers(pair).values()
    assert len(pids) == 2
    pair.kill()
    wait_until(lambda: not any(is_there(pid) for pid in pids), "the workers to end")
    # Nothing is left behind that would be in the way. This time it is started as users do.
    pair.own_interpreter = True
    pair.start()


def test_keeps_running_what_dies_young_but_not_in_a_frenzy(pair: Service) -> None:
    for _ in range(2):
        pid = workers(pair)[2]
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda pid=pid: workers(pair).get(2) != pid, "the end")  # type: ignore[misc]
        wait_until(lambda: 2 in workers(pair), "another worker", 5)
    ends = [
        line["starts_again_in"]
        for line in map(json.loads, pair.log().splitlines())
        if line["event"] == "worker_ended"
    ]
    assert ends == [0.0, 1.0]


@pytest.mark.parametrize("option", [("--workers", "2"), ("--only", "record")])
def test_on_sqlite_one_process_does_it_all(on_sqlite: CommandLine, option: tuple[str, str]) -> None:
    sentence = on_sqlite.failure("serve", *option)
    assert " ".join(option) in sentence
    assert "PostgreSQL" in sentence


def test_a_part_needs_to_know_the_address_of_the_whole(
    on_sqlite: CommandLine, postgres_url: str
) -> None:
    env = {"DATABASE_URL": postgres_url}
    assert "needs BASE_URL" in on_sqlite.failure("serve", "--only", "web", env=env)


# --- a process for a kind of work --------------------------------------------------------------


def part(work: Work, folder: Path, url: str, kind: type[Service] = Service) -> Service:
    """Return a process for one kind of work, to be started."""
    return kind(
        folder / work,
        *("--only", work),
        DATABASE_URL=url,
        SECRET_KEY="of these three",
        BASE_URL="http://heartbeats.example.org",
    )


@pytest.fixture
def split(postgres_url: str, tmp_path: Path) -> Iterator[dict[Work, Service]]:
    """A process for each kind of work, on one database."""
    services = {work: part(work, tmp_path, postgres_url) for work in Work}
    with ExitStack() as running:
        for service in services.values():
            running.enter_context(service)
        yield services


def status(service: Service, method: str, path: str) -> int:
    return service.request(method, path)[0]


def health(service: Service) -> dict[str, str]:
    code, body = service.request("GET", "/health")
    assert code == 200, body
    return {name: part["status"] for name, part in json.loads(body).items() if name != "status"}


def test_each_does_its_part_and_together_they_do_it_all(split: dict[Work, Service]) -> None:
    record, web, monitor = (split[work] for work in Work)
    with HttpReceiver() as receiver:
        hook = {"name": "hook", "type": "webhook", "config": {"url": receiver.url}}
        channel = web.api("POST", "/channels", hook)
        application = web.api(
            "POST",
            "/applications",
            {"name": "Shop", "expected_interval": 1, "channels": [channel["id"]]},
        )
        record.beat(application)
        wait_until(lambda: receiver.requests, "the alert")
        down = json.loads(receiver.requests[0].body)
        assert down["event"] == "down"
        assert down["application"]["heartbeat_url"].startswith(web.settings["BASE_URL"])

        # Misrouted, and recorded all the same; the monitor hears of it in the database.
        web.beat(application)
        wait_until(lambda: len(receiver.requests) > 1, "the recovery")
        assert json.loads(receiver.requests[1].body)["event"] == "up"

    well, elsewhere = "ok", "elsewhere"
    others = {"detector": elsewhere, "outbox": elsewhere}
    assert health(record) == {"database": well, "ingest": well, **others}
    assert health(web) == {"database": well, "ingest": elsewhere, **others}
    assert health(monitor) == {
        "database": well,
        "ingest": elsewhere,
        "detector": well,
        "outbox": well,
    }
    assert status(record, "GET", "/sign-in") == 421
    assert status(record, "GET", "/api/applications") == 421
    assert status(monitor, "GET", "/sign-in") == 421
    assert status(monitor, "POST", f"/heartbeat/{application['uuid']}") == 421
    assert priority(web) == min(priority(monitor) + GIVES_WAY, 19), "pages give way"
    assert priority(record) == priority(monitor)
    for service in split.values():
        assert status(service, "GET", "/health/live") == 200
        assert status(service, "GET", "/metrics") == 200
        assert service.stop() == 0
    assert [work for work, one in split.items() if "no_account_yet" in one.log()] == [Work.WEB]


def priority(service: Service) -> int:
    """Return how nice a process is: the higher, the more it gives way."""
    assert service.process is not None
    return os.getpriority(os.PRIO_PROCESS, service.process.pid)


def test_who_only_records_holds_no_pages_in_memory(postgres_url: str, tmp_path: Path) -> None:
    web = part(Work.WEB, tmp_path, postgres_url, OwnInterpreter)
    record = part(Work.RECORD, tmp_path, postgres_url, OwnInterpreter)
    with web, record:
        # The hashes of passwords are the pages' business; a library of its own kind makes them.
        assert "argon2" in mapped(web)
        assert "argon2" not in mapped(record)


def mapped(service: Service) -> str:
    assert service.process is not None
    return Path(f"/proc/{service.process.pid}/maps").read_text()

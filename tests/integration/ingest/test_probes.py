"""/health and /metrics, as every process answers them."""

import asyncio
import json
import threading
from collections.abc import Callable
from typing import Any

import pytest

from heartbeat_central.domain.work import EVERYTHING, Work
from heartbeat_central.ingest.elsewhere import Elsewhere
from heartbeat_central.ingest.probes import Probes
from heartbeat_central.services.check_health import Health, Part, PartStatus

pytestmark = pytest.mark.anyio

WELL = Health({"database": Part(status=PartStatus.OK)})
ILL = Health(
    {
        "database": Part(status=PartStatus.FAILING, detail="no connection to db.internal:5432"),
        "detector": Part(status=PartStatus.ELSEWHERE, detail="another process"),
    }
)


class Answer:
    def __init__(self, messages: list[dict[str, Any]]) -> None:
        begin, end = messages
        self.status = begin["status"]
        self.headers = {name.decode(): value.decode() for name, value in begin["headers"]}
        self.body = end["body"]

    @property
    def json(self) -> Any:
        return json.loads(self.body)


async def _rest(_scope: Any, _receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 299, "headers": []})
    await send({"type": "http.response.body", "body": b"the rest"})


def probes(check: Callable[[], Health] = lambda: WELL) -> Probes:
    return Probes(check=check, measure=lambda: b"figures 1.0\n", rest=_rest)


async def ask(app: Any, path: str, method: str = "GET") -> Answer:
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    async def receive() -> dict[str, Any]:
        raise AssertionError("there is no body to read")

    await app({"type": "http", "path": path, "method": method, "headers": []}, receive, send)
    return Answer(sent)


@pytest.mark.parametrize("path", ["/health", "/health/ready"])
async def test_well(path: str) -> None:
    answer = await ask(probes(), path)
    assert (answer.status, answer.json["status"]) == (200, "ok")
    assert answer.headers["cache-control"] == "no-store"


async def test_ill_without_telling_where_the_database_is() -> None:
    answer = await ask(probes(lambda: ILL), "/health")
    assert (answer.status, answer.json["status"]) == (503, "unhealthy")
    assert answer.json["database"]["status"] == "failing"
    assert answer.json["detector"]["status"] == "elsewhere"
    assert b"db.internal" not in answer.body


async def test_alive_whatever_is_wrong() -> None:
    answer = await ask(probes(lambda: ILL), "/health/live")
    assert (answer.status, answer.json) == (200, {"status": "ok"})


async def test_metrics_are_text() -> None:
    answer = await ask(probes(), "/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert answer.body == b"figures 1.0\n"


async def test_head_has_no_body_and_other_methods_are_refused() -> None:
    head = await ask(probes(), "/health", "HEAD")
    assert (head.status, head.body) == (200, b"")
    post = await ask(probes(), "/health", "POST")
    assert (post.status, post.headers["allow"]) == (405, "GET, HEAD")


async def test_all_else_goes_on() -> None:
    assert (await ask(probes(), "/healthy")).status == 299


async def test_one_check_answers_all_who_ask_meanwhile() -> None:
    checks: list[int] = []
    go_on = threading.Event()

    def check() -> Health:
        checks.append(1)
        go_on.wait(10)
        return WELL

    app = probes(check)
    asking = [asyncio.create_task(ask(app, "/health")) for _ in range(20)]
    await asyncio.sleep(0)
    gone, *others = asking
    gone.cancel()
    go_on.set()
    assert {(await one).status for one in others} == {200}
    assert len(checks) == 1
    assert (await ask(app, "/health")).status == 200
    assert len(checks) == 2


@pytest.mark.parametrize(
    ("does", "path", "status", "word"),
    [
        (Work.RECORD, "/", 421, "--only web"),
        (Work.RECORD, "/api/applications", 421, "--only web"),
        # Routed here on purpose: nobody knows it.
        (Work.RECORD, "/ping/whatever", 404, "nothing"),
        (Work.MONITOR, "/", 421, "--only web"),
        (Work.MONITOR, "/heartbeat/x", 421, "--only record"),
    ],
)
async def test_what_others_do_is_said_to_be_elsewhere(
    does: Work, path: str, status: int, word: str
) -> None:
    answer = await ask(Elsewhere(does), path)
    assert answer.status == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json["status"] == status
    assert word in answer.json["detail"]


def test_every_kind_of_work_is_known_by_name() -> None:
    assert {work.value for work in EVERYTHING} == {"record", "web", "monitor"}

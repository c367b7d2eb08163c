"""The service is killed at each step of noticing and telling: no alert is lost, and none comes thrice."""

import json
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.faults.doomed import STEPS
from tests.faults.doomed_service import Doomed
from tests.support.receivers.http import HttpReceiver
from tests.support.service import Service, wait_until

SENT_AND_NOT_MARKED = {
    "after it is sent",
    "before it is marked",
    "marked, before the commit",
}
"""Nobody can know then that it arrived: it is sent once more."""


@pytest.fixture
def receiver() -> Iterator[HttpReceiver]:
    with HttpReceiver() as listening:
        yield listening


def crash_at(steps: Sequence[str], database_url: str, folder: Path, receiver: HttpReceiver) -> None:
    url = receiver.url + "/hook"
    with Doomed(folder, DATABASE_URL=database_url) as service:
        channel = service.api(
            "POST", "/channels", {"name": "hook", "type": "webhook", "config": {"url": url}}
        )
        for step in steps:
            service.die_at(step)
            application = service.api(
                "POST",
                "/applications",
                {"name": step, "expected_interval": 1, "channels": [channel["id"]]},
            )
            service.wait_for_death()
            service.start()
            check(service, application, receiver, 2 if step in SENT_AND_NOT_MARKED else 1)
            receiver.requests.clear()


def check(
    service: Service, application: dict[str, Any], receiver: HttpReceiver, times: int
) -> None:
    def delivered() -> Any:
        rows = service.api("GET", f"/channels/{application['channels'][0]}/deliveries?limit=1")
        about = [one for one in rows if one["application_id"] == application["id"]]
        return about and about[0]["status"] == "delivered" and about

    [delivery] = wait_until(delivered, "the alert to be delivered", 30)
    told = [json.loads(one.body) for one in receiver.requests]
    assert [one["application"]["name"] for one in told] == [application["name"]] * times
    assert {one["event"] for one in told} == {"down"}
    ids = {one.headers["webhook-id"] for one in receiver.requests}
    assert ids == {delivery["delivery_id"]}
    [incident] = service.api("GET", f"/applications/{application['id']}/incidents")
    created_at = datetime.fromisoformat(application["created_at"])
    assert datetime.fromisoformat(incident["opened_at"]) == created_at + timedelta(seconds=1)


@pytest.mark.timeout(300)
def test_killed_at_each_step_on_sqlite(
    sqlite_url: str, tmp_path: Path, receiver: HttpReceiver
) -> None:
    crash_at(STEPS, sqlite_url, tmp_path / "service", receiver)


def test_killed_at_the_worst_steps_on_postgresql(
    postgres_url: str, tmp_path: Path, receiver: HttpReceiver
) -> None:
    steps = ["noticed, before the commit", "marked, before the commit"]
    crash_at(steps, postgres_url, tmp_path / "service", receiver)


@pytest.mark.soak
def test_killed_at_each_step_on_postgresql(
    postgres_url: str, tmp_path: Path, receiver: HttpReceiver
) -> None:
    crash_at(STEPS, postgres_url, tmp_path / "service", receiver)

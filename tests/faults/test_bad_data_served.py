"""A row that can't be read, in the running service: seen, told, and watched again once it is mended."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from heartbeat_central.storage.engine import open_database
from tests.support.receivers.http import HttpReceiver
from tests.support.service import Service, wait_until


@pytest.fixture
def receiver() -> Iterator[HttpReceiver]:
    with HttpReceiver() as listening:
        yield listening


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_in_the_running_service(
    database: str, tmp_path: Path, request: pytest.FixtureRequest, receiver: HttpReceiver
) -> None:
    settings: dict[str, Any] = {}
    url = f"sqlite:///{tmp_path / 'data' / 'heartbeat-central.db'}"
    if database == "postgresql":
        url = settings["DATABASE_URL"] = str(request.getfixturevalue("postgres_url"))
    with Service(tmp_path, **settings) as service:
        hook = {"name": "hook", "type": "webhook", "config": {"url": receiver.url}}
        channel = service.api("POST", "/channels", hook)["id"]
        made = {
            name: service.api(
                "POST",
                "/applications",
                {"name": name, "expected_interval": 2, "channels": [channel]},
            )
            for name in ("first", "bad", "last")
        }
        opened = open_database(url)
        with opened.write() as connection:
            connection.execute(
                text("UPDATE applications SET expected_interval = 0 WHERE id = :id"),
                {"id": made["bad"]["id"]},
            )
        opened.close()

        def seen() -> dict[str, dict[str, object]]:
            return {one["name"]: one for one in service.api("GET", "/applications")}

        wait_until(lambda: seen()["last"]["status"] == "down", "the others to be judged", 6)
        assert seen()["first"]["status"] == "down"
        assert "must be between" in str(seen()["bad"]["problem"])
        assert service.beat(made["bad"])["status"] == "ok"
        assert (
            b"heartbeat_central_unreadable_applications 1.0"
            in service.request("GET", "/metrics")[1]
        )
        assert service.request("GET", "/health")[0] == 200

        def told() -> list[dict[str, object]]:
            bodies = [json.loads(one.body) for one in receiver.requests]
            return [one for one in bodies if one["event"] == "digest"]

        if database == "sqlite":
            # Seconds are spared with the other: the same is tried there without a process.
            (digest,) = wait_until(told, "its channel to be told")
            assert digest["title"] == "NOT WATCHED: bad"
        path = f"/applications/{made['bad']['id']}"
        assert service.api("PATCH", path, {"expected_interval": 2})["problem"] is None
        wait_until(lambda: seen()["bad"]["status"] == "down", "the repaired one to be judged", 6)
        service.api("DELETE", path)

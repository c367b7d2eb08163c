"""/health and /metrics"""

from datetime import timedelta

import pytest

from heartbeat_central.domain.errors import StorageUnavailable
from tests.integration.api.conftest import Api, clock


def test_alive_without_asking_anything(api: Api) -> None:
    answer = api.get("/health/live", headers={})
    assert (answer.status, answer.json) == (200, {"status": "ok"})


def test_not_healthy_before_the_detector_and_the_outbox_have_run(api: Api) -> None:
    answer = api.get("/health", headers={})
    assert answer.status == 503
    assert answer.json["database"]["status"] == "ok"
    assert answer.json["detector"]["status"] == "failing"
    assert answer.json["outbox"]["status"] == "failing"


def test_healthy_once_they_have(api: Api) -> None:
    api.vitals.ok("notice", clock())
    api.vitals.ok("tell", clock())
    for path in ("/health", "/health/ready"):
        answer = api.get(path, headers={})
        assert answer.status == 200
        assert answer.json["status"] == "ok"
        assert answer.json["detector"]["last_ok"]


def test_not_healthy_when_one_of_them_has_stopped(api: Api) -> None:
    api.vitals.ok("notice", clock() - timedelta(minutes=5))
    api.vitals.ok("tell", clock())
    answer = api.get("/health", headers={})
    assert answer.status == 503
    assert answer.json["detector"]["status"] == "failing"
    assert answer.json["outbox"]["status"] == "ok"


def test_an_absent_database_is_told_without_its_address(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away() -> None:
        raise StorageUnavailable("no connection to db.internal:5432")

    monkeypatch.setattr(api.world.database, "ping", away)
    answer = api.get("/health", headers={})
    assert answer.status == 503
    assert answer.json["database"]["status"] == "failing"
    assert b"db.internal" not in answer.body
    assert api.get("/health/live", headers={}).status == 200


def test_metrics_count(api: Api) -> None:
    api.application()
    api.application(is_active=False)
    answer = api.get("/metrics")
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/plain")
    lines = answer.body.decode().splitlines()
    assert 'heartbeat_central_applications{status="new"} 1.0' in lines
    assert 'heartbeat_central_applications{status="paused"} 1.0' in lines
    assert "heartbeat_central_open_incidents 0.0" in lines

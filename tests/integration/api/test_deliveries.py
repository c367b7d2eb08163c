"""/api/deliveries, and trying again what was given up."""

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.integration.api.conftest import Answer, Api, Receiver
from tests.support.world import START


@pytest.fixture
def dead(api: Api, receiver: Receiver) -> dict[str, Any]:
    """A failed test: the nearest dead letter."""
    receiver.status = 404
    channel = api.channel(receiver.url)
    api.post(f"/api/channels/{channel['id']}/test")
    (delivery,) = api.get(f"/api/channels/{channel['id']}/deliveries").json
    found: dict[str, Any] = delivery
    return found


def retry(api: Api, delivery: dict[str, Any], **more: Any) -> Answer:
    path = f"/api/channels/{delivery['channel_id']}/deliveries/{delivery['id']}/retry"
    return api.post(path, **more)


def send(api: Api) -> None:
    seconds = (datetime.now(UTC) - START).total_seconds()
    for claimed in api.world.claim(seconds):
        api.world.send(claimed, seconds)


def test_one_that_was_given_up_is_tried_again(
    api: Api, receiver: Receiver, dead: dict[str, Any]
) -> None:
    receiver.status = 200
    answer = retry(api, dead)
    assert answer.status == 200
    assert answer.json["status"] == "pending"
    assert answer.json["delivery_id"] == dead["delivery_id"], "the receiver can tell it is the same"
    assert len(api.rings) >= 1
    send(api)
    (delivery,) = api.get("/api/deliveries").json
    assert (delivery["status"], delivery["attempts"]) == ("delivered", 2)
    assert delivery["last_error"] is None
    assert [body["delivery_id"] for body in receiver.received] == [dead["delivery_id"]] * 2


def test_only_one_that_was_given_up(api: Api, dead: dict[str, Any]) -> None:
    retry(api, dead)
    answer = retry(api, dead)
    assert answer.status == 409
    assert "pending" in answer.json["detail"]


def test_not_through_a_channel_that_is_switched_off(api: Api, dead: dict[str, Any]) -> None:
    api.patch(f"/api/channels/{dead['channel_id']}", {"is_active": False})
    answer = retry(api, dead)
    assert answer.status == 409
    assert "switched off" in answer.json["detail"]


@pytest.mark.parametrize("other", [{"id": 4711}, {"channel_id": 4711}, {"id": "x"}])
def test_one_that_is_not_there_is_404(
    api: Api, dead: dict[str, Any], other: dict[str, Any]
) -> None:
    assert retry(api, {**dead, **other}).status == 404


def test_of_another_channel_is_404(api: Api, dead: dict[str, Any]) -> None:
    assert retry(api, {**dead, "channel_id": api.channel()["id"]}).status == 404


def test_trying_again_is_no_reading(api: Api, dead: dict[str, Any]) -> None:
    assert retry(api, dead, headers={"X-Api-Key": api.read_key}).status == 403
    assert retry(api, dead, body={"now": True}).status == 400


def test_they_are_listed_by_status(api: Api, receiver: Receiver, dead: dict[str, Any]) -> None:
    receiver.status = 200
    other = api.channel(receiver.url)
    api.post(f"/api/channels/{other['id']}/test")
    assert [one["status"] for one in api.get("/api/deliveries").json] == ["delivered", "dead"]
    assert [one["id"] for one in api.get("/api/deliveries?status=dead").json] == [dead["id"]]
    for status in ("pending", "cancelled", "merged"):
        assert api.get(f"/api/deliveries?status={status}").json == []
    path = f"/api/channels/{other['id']}/deliveries"
    assert api.get(f"{path}?status=dead").json == []
    assert len(api.get(f"{path}?status=delivered").json) == 1
    page = api.get("/api/deliveries?limit=1")
    assert 'rel="next"' in page.headers["link"]


def test_an_unknown_status_is_refused(api: Api) -> None:
    answer = api.get("/api/deliveries?status=lost")
    assert answer.status == 400
    assert answer.fields == {"status"}
    assert "`dead`" in answer.body.decode()

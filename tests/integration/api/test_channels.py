"""/api/channels and /api/alert-plugins"""

from typing import Any

import pytest

from tests.integration.api.conftest import Api, Receiver

MASK = "********"


def test_creating_one_masks_its_secrets(api: Api) -> None:
    new = {
        "name": "Hook",
        "type": "webhook",
        "config": {
            "url": "https://example.com/hook",
            "secret": "whsec_c2VjcmV0c2VjcmV0c2VjcmV0c2U=",
        },
    }
    answer = api.post("/api/channels", new)
    assert answer.status == 201
    created = answer.json
    assert answer.headers["location"].endswith(f"/api/channels/{created['id']}")
    assert created["config"]["secret"] == MASK
    assert created["is_active"] is True
    assert (created["last_delivery"], created["last_error"]) == (None, None)
    assert b"c2VjcmV0" not in answer.body
    assert b"c2VjcmV0" not in api.get("/api/channels").body
    assert api.get(f"/api/channels/{created['id']}").json == created


def test_a_masked_secret_sent_back_leaves_the_stored_one_alone(api: Api) -> None:
    created = api.channel(
        config={"url": "https://example.com/a", "secret": "whsec_c2VjcmV0c2VjcmV0c2VjcmV0c2U="}
    )
    path = f"/api/channels/{created['id']}"
    config = {**created["config"], "url": "https://example.com/b"}
    answer = api.patch(path, {"config": config})
    assert answer.status == 200
    assert answer.json["config"]["secret"] == MASK
    assert stored_config(api, created["id"])["secret"] == "whsec_c2VjcmV0c2VjcmV0c2VjcmV0c2U="


def test_a_mask_in_a_new_channel_is_no_secret(api: Api) -> None:
    config = {"url": "https://example.com/a", "secret": MASK}
    answer = api.post("/api/channels", {"name": "Hook", "type": "webhook", "config": config})
    assert answer.status == 422
    assert answer.fields == {"config.secret"}


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_changing_one_leaves_the_rest_alone(api: Api, method: str) -> None:
    before = api.channel()
    path = f"/api/channels/{before['id']}"
    answer = api.call(method, path, {"is_active": False})
    assert answer.status == 200
    changed = {**before, "is_active": False, "updated_at": answer.json["updated_at"]}
    assert answer.json == changed


def test_its_type_can_not_be_changed(api: Api) -> None:
    created = api.channel()
    path = f"/api/channels/{created['id']}"
    assert api.patch(path, {"type": "webhook", "name": "Same"}).status == 200
    answer = api.patch(path, {"type": "email"})
    assert answer.status == 422
    assert answer.fields == {"type"}


@pytest.mark.parametrize(
    ("new", "fields"),
    [
        ({}, {"name", "type", "config"}),
        ({"name": "x", "type": "pigeon", "config": {}}, {"type"}),
        ({"name": "x", "type": "webhook", "config": {}}, {"config.url"}),
        ({"name": "x", "type": "webhook", "config": []}, {"config"}),
        (
            {"name": "", "type": "webhook", "config": {"url": "nope", "extra": 1}},
            {"name", "config.url", "config.extra"},
        ),
        (
            {"name": 5, "type": "webhook", "config": {"url": 5}, "is_active": 1, "x": 1},
            {"name", "config.url", "is_active", "x"},
        ),
        ({"name": "a\x00b", "type": "pigeon", "config": {}}, {"name", "type"}),
    ],
)
def test_every_bad_field_is_named(api: Api, new: dict[str, Any], fields: set[str]) -> None:
    answer = api.post("/api/channels", new)
    assert answer.status == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.fields == fields


def test_deleting_one_ends_its_subscriptions(api: Api) -> None:
    channel = api.channel()
    application = api.application(channels="*")
    assert application["channels"] == [channel["id"]]
    assert api.delete(f"/api/channels/{channel['id']}").status == 204
    assert api.get(f"/api/channels/{channel['id']}").status == 404
    assert api.get(f"/api/applications/{application['id']}").json["channels"] == []


def test_unknown_channels_are_refused_by_id(api: Api) -> None:
    known = api.channel()["id"]
    new = {"name": "x", "expected_interval": 60, "channels": [known, 4711, 4712]}
    answer = api.post("/api/applications", new)
    assert answer.status == 422
    assert answer.fields == {"channels"}
    assert "4711" in answer.body.decode()
    assert "4712" in answer.body.decode()
    assert api.get("/api/applications").json == []


def test_subscriptions_are_replaced(api: Api) -> None:
    first, second = api.channel()["id"], api.channel()["id"]
    application = api.application(channels=[second, first, first])
    assert application["channels"] == [first, second]
    path = f"/api/applications/{application['id']}"
    assert api.patch(path, {"channels": [second]}).json["channels"] == [second]
    assert api.patch(path, {"name": "Still"}).json["channels"] == [second]
    assert api.patch(path, {"channels": []}).json["channels"] == []
    assert api.patch(path, {"channels": "*"}).json["channels"] == [first, second]


def test_a_test_really_arrives_and_is_recorded(api: Api, receiver: Receiver) -> None:
    channel = api.channel(receiver.url)
    answer = api.post(f"/api/channels/{channel['id']}/test")
    assert answer.status == 200
    assert answer.json["ok"] is True
    (body,) = receiver.received
    assert body["event"] == "test"
    (delivery,) = api.get(f"/api/channels/{channel['id']}/deliveries").json
    assert delivery["delivery_id"] == body["delivery_id"]
    assert (delivery["event"], delivery["status"]) == ("test", "delivered")
    shown = api.get(f"/api/channels/{channel['id']}").json
    assert shown["last_delivery"] is not None
    assert shown["last_error"] is None


def test_a_test_that_fails_says_why_and_is_not_repeated(api: Api, receiver: Receiver) -> None:
    receiver.status = 500
    channel = api.channel(receiver.url)
    answer = api.post(f"/api/channels/{channel['id']}/test")
    assert answer.status == 200
    assert answer.json["ok"] is False
    assert "500" in answer.json["detail"]
    (delivery,) = api.get(f"/api/channels/{channel['id']}/deliveries").json
    assert delivery["status"] == "dead"
    assert delivery["next_attempt_at"] is None
    shown = api.get(f"/api/channels/{channel['id']}").json
    assert shown["last_delivery"] is None
    assert "500" in shown["last_error"]
    receiver.status = 200
    api.post(f"/api/channels/{channel['id']}/test")
    assert api.get(f"/api/channels/{channel['id']}").json["last_error"] is None


def test_a_test_of_a_channel_that_is_not_there_is_404(api: Api) -> None:
    assert api.post("/api/channels/999/test").status == 404


def test_a_test_is_no_reading(api: Api) -> None:
    channel = api.channel()
    answer = api.post(f"/api/channels/{channel['id']}/test", headers={"X-Api-Key": api.read_key})
    assert answer.status == 403


def test_plugins_tell_the_schema_of_their_configuration(api: Api) -> None:
    plugins = {one["type"]: one for one in api.get("/api/alert-plugins").json}
    assert "webhook" in plugins
    for plugin in plugins.values():
        assert plugin["label"]
        assert plugin["summary"]
        assert plugin["config_schema"]["type"] == "object"
        assert plugin["config_schema"]["properties"]


def stored_config(api: Api, channel_id: int) -> dict[str, Any]:
    from heartbeat_central.storage import channels

    with api.world.database.read() as connection:
        channel = channels.find(connection, api.world.project_id, channel_id)
    return api.world.secret_box.open(channel.sealed_config)

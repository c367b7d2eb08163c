"""What is wrong is told in one form, with every offending field; nothing hostile is a 5xx."""

from typing import Any

import pytest

from heartbeat_central.domain.errors import StorageUnavailable
from tests.integration.api.conftest import Api

GOOD = {"name": "Backup", "expected_interval": 60}


@pytest.mark.parametrize(
    ("new", "fields"),
    [
        ({}, {"name", "expected_interval"}),
        ({"name": "x"}, {"expected_interval"}),
        ({"expected_interval": 60}, {"name"}),
        ({"name": "", "expected_interval": 0}, {"name", "expected_interval"}),
        ({"name": "   ", "expected_interval": 60}, {"name"}),
        ({"name": "x" * 201, "expected_interval": 60}, {"name"}),
        # No type becomes another.
        ({"name": 5, "expected_interval": "60"}, {"name", "expected_interval"}),
        ({"name": "x", "expected_interval": True}, {"expected_interval"}),
        ({"name": "x", "expected_interval": 60.0}, {"expected_interval"}),
        ({"name": "x", "expected_interval": 1.5}, {"expected_interval"}),
        ({"name": "x", "expected_interval": 2**63}, {"expected_interval"}),
        ({"name": "x", "expected_interval": 10**400}, {"expected_interval"}),
        ({"name": "x", "expected_interval": 60, "is_active": 1}, {"is_active"}),
        ({"name": "x", "expected_interval": 60, "is_active": None}, {"is_active"}),
        ({"name": None, "expected_interval": None}, {"name", "expected_interval"}),
        ({"name": "x", "expected_interval": 60, "grace_period": -1}, {"grace_period"}),
        # What the database or JSON can't carry.
        ({"name": "a\x00b", "expected_interval": 60}, {"name"}),
        ({"name": "a\ud800b", "expected_interval": 60}, {"name"}),
        ({"name": "x", "expected_interval": 60, "description": "\x00"}, {"description"}),
        ({"name": "x", "expected_interval": 60, "tags": ["a", "", "\x00"]}, {"tags.1", "tags.2"}),
        ({"name": "x", "expected_interval": 60, "tags": "db"}, {"tags"}),
        ({"name": "x", "expected_interval": 60, "tags": [1]}, {"tags.0"}),
        ({"name": "x", "expected_interval": 60, "slug": "Über"}, {"slug"}),
        ({"name": "x", "expected_interval": 60, "slug": "a\n"}, {"slug"}),
        # Either an interval or a schedule.
        (
            {**GOOD, "schedule": {"kind": "cron", "expression": "@daily"}},
            {"expected_interval"},
        ),
        (
            {"name": "x", "schedule": {"kind": "lunar", "expression": 5, "zone": "UTC"}},
            {"schedule.kind", "schedule.expression", "schedule.zone"},
        ),
        ({"name": "x", "schedule": {}}, {"schedule.kind", "schedule.expression"}),
        ({"name": "x", "schedule": "@daily"}, {"schedule"}),
        (
            {"name": "x", "schedule": {"kind": "cron", "expression": "0 0 31 2 *"}},
            {"schedule.expression"},
        ),
        (
            {
                "name": "x",
                "schedule": {"kind": "cron", "expression": "0 0 * * *", "timezone": "Mars/Base"},
            },
            {"schedule.timezone"},
        ),
        (
            {"name": "x", "schedule": {"kind": "cron", "expression": "x", "timezone": "Mars"}},
            {"schedule.expression", "schedule.timezone"},
        ),
        (
            {"name": "x", "schedule": {"kind": "cron", "expression": "x", "zone": "UTC"}},
            {"schedule.expression", "schedule.zone"},
        ),
        # Half of the pair is bad: the other half isn't missing.
        ({"name": "x", "expected_interval": None, "schedule": 5}, {"schedule"}),
        # Fields that only the rules of the domain find bad, together with others.
        (
            {
                "name": 5,
                "grace_period": "x",
                "schedule": {"kind": "cron", "expression": "every day", "timezone": "UTC"},
            },
            {"name", "grace_period", "schedule.expression"},
        ),
        ({"name": "\x00", "expected_interval": "x"}, {"name", "expected_interval"}),
        # Channels.
        ({**GOOD, "channels": "all"}, {"channels"}),
        ({**GOOD, "channels": 5}, {"channels"}),
        ({**GOOD, "channels": ["1"]}, {"channels.0"}),
        ({**GOOD, "channels": [True]}, {"channels.0"}),
        ({**GOOD, "channels": [2**63]}, {"channels.0"}),
        ({**GOOD, "channels": [2**63 - 1]}, {"channels"}),
        ({**GOOD, "name": "", "channels": [4711]}, {"name", "channels"}),
        # Unknown fields are refused by name, read-only ones too.
        ({**GOOD, "expected_intervall": 60, "status": "up"}, {"expected_intervall", "status"}),
    ],
)
def test_every_bad_field_is_named(api: Api, new: dict[str, Any], fields: set[str]) -> None:
    answer = api.post("/api/applications", new)
    assert answer.status == 422
    assert answer.fields == fields
    problem = answer.json
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["status"] == 422
    assert problem["title"]
    assert problem["type"]
    assert problem["detail"]
    assert all(error["message"] for error in problem["errors"])
    assert api.get("/api/applications").json == []


@pytest.mark.parametrize(
    ("change", "fields"),
    [
        ({"name": None}, {"name"}),
        ({"name": "", "grace_period": "5", "nam": "x"}, {"name", "grace_period", "nam"}),
        ({"schedule": None, "expected_interval": None}, {"expected_interval"}),
        ({"name": "\x00", "channels": [4711]}, {"name", "channels"}),
        ({"id": 5, "uuid": "x"}, {"id", "uuid"}),
        ({"channels": None}, {"channels"}),
        ({"schedule": {"kind": "cron"}, "expected_interval": None}, {"schedule.expression"}),
        ({"tags": None}, {"tags"}),
    ],
)
def test_a_bad_change_changes_nothing(api: Api, change: dict[str, Any], fields: set[str]) -> None:
    before = api.application()
    answer = api.patch(f"/api/applications/{before['id']}", change)
    assert answer.status == 422
    assert answer.fields == fields
    assert api.get(f"/api/applications/{before['id']}").json == before


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"nonsense",
        b"[]",
        b'"text"',
        b"null",
        b"5",
        b'{"name": "x"',
        b'{"name": NaN}',
        b'{"name": "x", "name": "y", "expected_interval": 60}',
        b'{"expected_interval": Infinity}',
        b"\xff\xfe\x00",
        b'{"name": "\xff"}',
        b"[" * 100_000,
        b'{"expected_interval": ' + b"9" * 5000 + b"}",
        '{"name": "x"}'.encode("utf-16"),
    ],
)
def test_a_body_that_is_no_json_object_is_400(api: Api, raw: bytes) -> None:
    answer = api.post("/api/applications", raw=raw)
    assert answer.status == 400
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_message_says_what_would_be_right(api: Api) -> None:
    new = {"name": 5, "expected_interval": 0, "channels": "all", "colour": "red"}
    told = {
        one["field"]: one["message"] for one in api.post("/api/applications", new).json["errors"]
    }
    assert told["name"] == "must be text"
    assert told["expected_interval"] == "must be at least 1"
    assert told["channels"] == "must be a list of ids, or `*` for every channel there is"
    assert "`expected_interval`" in told["colour"]


def test_a_body_of_no_type_is_taken_as_json(api: Api) -> None:
    assert api.post("/api/applications", GOOD, content_type=None).status == 201


def test_a_body_of_another_type_is_415(api: Api) -> None:
    answer = api.post("/api/applications", GOOD, content_type="application/x-www-form-urlencoded")
    assert answer.status == 415
    assert "application/json" in answer.json["detail"]
    assert (
        api.post("/api/applications", GOOD, content_type="application/json; charset=utf-8").status
        == 201
    )


def test_a_body_that_is_too_large_is_413(api: Api) -> None:
    answer = api.post("/api/applications", {**GOOD, "description": "x" * (3 * 1024 * 1024)})
    assert answer.status == 413
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=1001",
        "limit=-1",
        "limit=x",
        "limit=",
        "limit=1.0",
        "limit=%2B5",
        "limit=%D9%A1",
        "limit=99999999999999999999999999999",
        "limit=1&limit=2",
        "status=sideways",
        "stauts=down",
        "cursor=nonsense",
        "cursor=",
        "cursor=%00",
        "cursor=OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5",
        "cursor=%F0%9F%92%A9",
        "search=%00",
        "tag=%00",
        "search=%ED%A0%80%00",
    ],
)
def test_a_bad_query_is_400(api: Api, query: str) -> None:
    answer = api.get(f"/api/applications?{query}")
    assert answer.status == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert query.partition("=")[0] in answer.fields


@pytest.mark.parametrize(
    "path",
    ["applications/1/heartbeats", "applications/1/incidents", "incidents", "channels/1/deliveries"],
)
@pytest.mark.parametrize("cursor", ["x", "MQ", "MXwy", "OTk5OTktMDEtMDF8MQ"])
def test_a_foreign_cursor_is_400(api: Api, path: str, cursor: str) -> None:
    api.application()
    api.channel()
    answer = api.get(f"/api/{path}?cursor={cursor}")
    # An id alone is a cursor of deliveries.
    assert answer.status == 400 or (path.endswith("deliveries") and cursor == "MQ")


def test_an_unknown_path_is_404_and_an_unknown_method_405(api: Api) -> None:
    nowhere = api.get("/api/nowhere")
    assert nowhere.status == 404
    assert nowhere.headers["content-type"] == "application/problem+json"
    wrong = api.post("/api/applications/1")
    assert wrong.status == 405
    assert wrong.headers["content-type"] == "application/problem+json"
    assert {"GET", "PUT", "PATCH", "DELETE"} <= set(wrong.headers["allow"].split(", "))
    assert "PATCH" in wrong.json["detail"]
    assert api.get("/api").headers["content-type"] == "application/problem+json"
    assert api.delete("/api/applications").status == 405


def test_a_mistake_of_ours_is_told_without_a_word_of_it(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise RuntimeError("the secret is 42")

    monkeypatch.setattr(api.world.database, "read", broken)
    answer = api.get("/api/applications")
    assert answer.status == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert b"42" not in answer.body


def test_an_absent_database_is_503_with_retry_after(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away() -> None:
        raise StorageUnavailable("no connection to db.internal:5432 as postgres")

    monkeypatch.setattr(api.world.database, "read", away)
    answer = api.get("/api/applications")
    assert answer.status == 503
    assert int(answer.headers["retry-after"]) > 0
    assert b"db.internal" not in answer.body

"""/api/applications"""

from datetime import datetime
from uuid import UUID

import pytest

from heartbeat_central.domain.signal import Signal, SignalKind
from heartbeat_central.services.record_signals import record_signals
from tests.integration.api.conftest import PUBLIC, Api, clock

FIELDS = {
    "id",
    "uuid",
    "name",
    "slug",
    "description",
    "tags",
    "expected_interval",
    "grace_period",
    "expect_first_heartbeat",
    "schedule",
    "is_active",
    "status",
    "last_heartbeat",
    "next_expected",
    "deadline",
    "heartbeat_url",
    "channels",
    "created_at",
    "updated_at",
}


def test_creating_one_answers_with_all_of_it_and_where_it_is(api: Api) -> None:
    answer = api.post(
        "/api/applications",
        {"name": "Nightly backup (DB)", "expected_interval": 60, "grace_period": 10},
    )
    assert answer.status == 201
    created = answer.json
    assert set(created) >= FIELDS
    assert answer.headers["location"].endswith(f"/api/applications/{created['id']}")
    assert created["slug"] == "nightly-backup-db"
    assert created["status"] == "new"
    assert created["heartbeat_url"] == f"{PUBLIC}/heartbeat/{created['uuid']}"
    assert created["expect_first_heartbeat"] is True
    assert created["schedule"] is None
    assert created["channels"] == []
    born, due, dead = (
        datetime.fromisoformat(created[name])
        for name in ("created_at", "next_expected", "deadline")
    )
    assert (due - born).total_seconds() == 60
    assert (dead - due).total_seconds() == 10


def test_one_is_found_by_id_and_by_uuid(api: Api) -> None:
    created = api.application()
    by_id = api.get(f"/api/applications/{created['id']}")
    by_uuid = api.get(f"/api/applications/{created['uuid']}")
    assert by_id.status == by_uuid.status == 200
    assert by_id.json == by_uuid.json == created


@pytest.mark.parametrize(
    "ref",
    [
        "0",
        "999999",
        "9223372036854775807",
        "9223372036854775808",
        "99999999999999999999999999",
        "-1",
        "1.0",
        "%D9%A1",  # a digit, but not an ASCII one
        "00000000-0000-4000-8000-000000000000",
        "nonsense",
        "%00",
        "%ED%A0%80",  # a lone surrogate
        "urn:uuid:00000000-0000-4000-8000-000000000000",
    ],
)
def test_what_is_not_there_is_404(api: Api, ref: str) -> None:
    for method in ("GET", "DELETE"):
        answer = api.call(method, f"/api/applications/{ref}")
        assert answer.status == 404
        assert answer.headers["content-type"] == "application/problem+json"
    assert api.patch(f"/api/applications/{ref}", {"name": "x"}).status == 404
    assert api.post(f"/api/applications/{ref}/pause").status == 404
    assert api.get(f"/api/applications/{ref}/heartbeats").status == 404
    assert api.get(f"/api/applications/{ref}/incidents").status == 404


def test_one_with_a_cron_schedule(api: Api) -> None:
    schedule = {"kind": "cron", "expression": "30 2 * * *", "timezone": "Europe/Vienna"}
    answer = api.post("/api/applications", {"name": "Backup", "schedule": schedule})
    assert answer.status == 201
    assert answer.json["schedule"] == schedule
    assert answer.json["expected_interval"] is None


def test_a_schedule_is_in_utc_unless_it_says_otherwise(api: Api) -> None:
    schedule = {"kind": "oncalendar", "expression": "Mon..Fri 02:30"}
    answer = api.post("/api/applications", {"name": "Backup", "schedule": schedule})
    assert answer.status == 201
    assert answer.json["schedule"] == {**schedule, "timezone": "UTC"}


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_changing_one_leaves_the_rest_alone(api: Api, method: str) -> None:
    before = api.application(description="Dumps the database", tags=["db"], grace_period=5)
    path = f"/api/applications/{before['id']}"
    answer = api.call(method, path, {"name": "Dump"})
    assert answer.status == 200
    assert answer.json == {**before, "name": "Dump", "updated_at": answer.json["updated_at"]}
    assert answer.json["updated_at"] > before["updated_at"]
    assert api.get(path).json["name"] == "Dump"


def test_a_schedule_replaces_the_interval_and_the_other_way_round(api: Api) -> None:
    path = f"/api/applications/{api.application()['id']}"
    schedule = {"kind": "cron", "expression": "@daily", "timezone": "UTC"}
    with_schedule = api.patch(path, {"schedule": schedule})
    assert with_schedule.status == 200
    assert with_schedule.json["schedule"] == schedule
    assert with_schedule.json["expected_interval"] is None
    with_interval = api.patch(path, {"expected_interval": 90})
    assert with_interval.status == 200
    assert with_interval.json["schedule"] is None
    assert with_interval.json["expected_interval"] == 90


def test_a_change_never_leaves_one_without_a_schedule(api: Api) -> None:
    path = f"/api/applications/{api.application()['id']}"
    answer = api.patch(path, {"expected_interval": None})
    assert answer.status == 422
    assert answer.fields == {"expected_interval"}
    assert api.get(path).json["expected_interval"] == 60


def test_an_empty_change_changes_nothing(api: Api) -> None:
    created = api.application()
    answer = api.patch(f"/api/applications/{created['id']}", {})
    assert answer.status == 200
    assert answer.json == created


def test_pausing_and_resuming(api: Api) -> None:
    path = f"/api/applications/{api.application()['id']}"
    paused = api.post(f"{path}/pause")
    assert paused.status == 200
    assert (paused.json["status"], paused.json["is_active"]) == ("paused", False)
    assert (paused.json["next_expected"], paused.json["deadline"]) == (None, None)
    assert api.post(f"{path}/pause").status == 200
    api.rings.clear()
    resumed = api.post(f"{path}/resume", raw=b"{}")
    assert resumed.status == 200
    assert (resumed.json["status"], resumed.json["is_active"]) == ("new", True)
    assert resumed.json["deadline"] is not None
    assert api.rings, "the monitor must hear of the new deadline"


def test_is_active_pauses_and_resumes_too(api: Api) -> None:
    created = api.application(is_active=False)
    assert created["status"] == "paused"
    answer = api.patch(f"/api/applications/{created['id']}", {"is_active": True})
    assert answer.json["status"] == "new"


def test_pausing_one_that_is_down_closes_its_incident_and_tells_nobody(api: Api) -> None:
    channel = api.channel()
    created = api.application(channels=[channel["id"]])
    path = f"/api/applications/{created['id']}"
    send(api, created["uuid"], SignalKind.FAIL)
    assert api.get(path).json["status"] == "down"
    api.post(f"{path}/pause")
    (incident,) = api.get(f"{path}/incidents").json
    assert incident["closed_at"] is not None
    events = [one["event"] for one in api.get(f"/api/channels/{channel['id']}/deliveries").json]
    assert events == ["down"]


def test_deleting_one(api: Api) -> None:
    created = api.application()
    path = f"/api/applications/{created['id']}"
    answer = api.delete(path)
    assert answer.status == 204
    assert answer.body == b""
    assert api.get(path).status == 404
    assert api.delete(path).status == 404
    assert api.get("/api/applications").json == []


def test_the_list_is_newest_first_and_can_be_narrowed(api: Api) -> None:
    first = api.application("Alpha", tags=["db", "prod"])
    second = api.application("Beta", is_active=False)
    third = api.application("Gamma 100%", tags=["db"])
    listed = api.get("/api/applications").json
    assert [one["id"] for one in listed] == [third["id"], second["id"], first["id"]]

    def names(query: str) -> list[str]:
        answer = api.get(f"/api/applications?{query}")
        assert answer.status == 200
        return [one["name"] for one in answer.json]

    assert names("search=ALPH") == ["Alpha"]
    assert names("search=%25") == ["Gamma 100%"]  # a percent sign is no wildcard
    assert names("status=paused") == ["Beta"]
    assert names("status=new") == ["Gamma 100%", "Alpha"]
    assert names("status=down") == []
    assert names("tag=prod") == ["Alpha"]
    assert names("tag=db&search=gam") == ["Gamma 100%"]


def test_late_and_running_can_be_asked_for(api: Api) -> None:
    running = api.application("Running")
    api.application("Quiet")
    send(api, running["uuid"], SignalKind.START)
    listed = api.get("/api/applications?status=running").json
    assert [one["name"] for one in listed] == ["Running"]
    assert api.get("/api/applications?status=late").json == []


def test_the_history_comes_newest_first_with_all_of_each_signal(api: Api) -> None:
    created = api.application()
    rid = UUID("8b8c6a3e-6b8a-4b36-9b0e-0d3f1b1f7a52")
    send(api, created["uuid"], SignalKind.START, rid=rid)
    send(api, created["uuid"], rid=rid, body=b"done \xff\x00", body_size=7, user_agent="curl/8")
    send(api, created["uuid"], SignalKind.FAIL, exit_status=3)
    newest, finish, start = api.get(f"/api/applications/{created['id']}/heartbeats").json
    assert (newest["kind"], newest["exit_status"]) == ("fail", 3)
    assert (start["kind"], start["rid"], start["duration"]) == ("start", str(rid), None)
    assert finish["kind"] == "success"
    assert finish["duration"] >= 0
    assert finish["body"] == "done \ufffd\x00"
    assert finish["body_size"] == 7
    assert finish["user_agent"] == "curl/8"
    assert finish["method"] == "POST"


def test_incidents_are_told_for_one_and_for_all(api: Api) -> None:
    created = api.application()
    other = api.application("Other")
    send(api, created["uuid"], SignalKind.FAIL, exit_status=7)
    send(api, created["uuid"])
    send(api, other["uuid"], SignalKind.FAIL)
    (mine,) = api.get(f"/api/applications/{created['id']}/incidents").json
    assert (mine["reason"], mine["exit_status"]) == ("failed", 7)
    assert mine["application_id"] == created["id"]
    assert mine["closed_at"] is not None
    every = api.get("/api/incidents").json
    assert [one["application_id"] for one in every] == [other["id"], created["id"]]
    assert [one["closed_at"] for one in api.get("/api/incidents?open=true").json] == [None]
    assert api.get(f"/api/incidents/{mine['id']}").json == mine
    assert api.get("/api/incidents/999999").status == 404


def test_changes_that_may_bring_a_deadline_forward_ring_the_doorbell(api: Api) -> None:
    created = api.application()
    assert len(api.rings) == 1
    api.patch(f"/api/applications/{created['id']}", {"expected_interval": 5})
    assert len(api.rings) == 2


def send(api: Api, uuid: str, kind: SignalKind = SignalKind.SUCCESS, **more: object) -> None:
    now = clock()
    signal = Signal(uuid=UUID(uuid), kind=kind, received_at=now, **more)  # type: ignore[arg-type]
    record_signals(api.world.database, [signal], now=now, base_url=PUBLIC)

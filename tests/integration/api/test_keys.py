"""Who may call."""

import pytest

from heartbeat_central.services.manage_api_keys import list_api_keys, revoke_api_key
from tests.integration.api.conftest import Api, clock


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer hbc_wrong"},
        {"Authorization": "Basic aGJjOng="},
        {"X-Api-Key": ""},
        {"X-Api-Key": "hbc_" + "x" * 43},
        {"X-Api-Key": "\xff\x80"},
        {"Authorization": "Bearer " + "x" * 5000},
    ],
)
def test_without_a_valid_key_it_is_401(api: Api, headers: dict[str, str]) -> None:
    for path in ("/api/applications", "/api/channels", "/api/incidents", "/api/alert-plugins"):
        answer = api.get(path, headers=headers)
        assert answer.status == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert answer.headers["content-type"] == "application/problem+json"


def test_either_header_will_do(api: Api) -> None:
    assert (
        api.get("/api/applications", headers={"Authorization": f"Bearer {api.key}"}).status == 200
    )
    assert (
        api.get("/api/applications", headers={"Authorization": f"bearer {api.key}"}).status == 200
    )
    assert api.get("/api/applications", headers={"X-Api-Key": api.key}).status == 200


def test_a_key_for_reading_reads_and_changes_nothing(api: Api) -> None:
    application = api.application()
    channel = api.channel()
    reading = {"X-Api-Key": api.read_key}
    for path in ("applications", f"applications/{application['id']}", "channels", "incidents"):
        assert api.get(f"/api/{path}", headers=reading).status == 200
    for method, path in [
        ("POST", "applications"),
        ("PUT", f"applications/{application['id']}"),
        ("PATCH", f"applications/{application['id']}"),
        ("DELETE", f"applications/{application['id']}"),
        ("POST", f"applications/{application['id']}/pause"),
        ("POST", f"applications/{application['id']}/resume"),
        ("POST", "channels"),
        ("DELETE", f"channels/{channel['id']}"),
    ]:
        answer = api.call(method, f"/api/{path}", {"name": "x"}, headers=reading)
        assert answer.status == 403, path
        assert answer.headers["content-type"] == "application/problem+json"
    assert api.get(f"/api/applications/{application['id']}").json == application


def test_a_revoked_key_is_useless_at_once(api: Api) -> None:
    database, project_id = api.world.database, api.world.project_id
    (key_id,) = [one.id for one in list_api_keys(database, project_id) if one.name == "reader"]
    reading = {"X-Api-Key": api.read_key}
    assert api.get("/api/applications", headers=reading).status == 200
    revoke_api_key(database, project_id, key_id, now=clock())
    assert api.get("/api/applications", headers=reading).status == 401


def test_an_unknown_path_tells_nothing_without_a_key(api: Api) -> None:
    assert api.get("/api/applications/1", headers={}).status == 401


def test_nothing_behind_a_key_is_kept_by_caches(api: Api) -> None:
    application = api.application()
    for answer in (
        api.get("/api/applications"),
        api.get("/api/applications", headers={}),
        api.delete(f"/api/applications/{application['id']}"),
    ):
        assert answer.headers["cache-control"] == "no-store"

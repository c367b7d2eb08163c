"""The description of the API is valid, complete and true."""

import re
from typing import Any

import pytest
from openapi_spec_validator import validate

from heartbeat_central.ingest.probes import PATHS
from tests.integration.api.conftest import Api

METHODS = ("get", "post", "put", "patch", "delete")


@pytest.fixture
def spec(api: Api) -> dict[str, Any]:
    answer = api.get("/api/openapi.json", headers={})
    assert answer.status == 200
    described: dict[str, Any] = answer.json
    return described


def operations(spec: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (method, path, operation)
        for path, item in spec["paths"].items()
        for method, operation in item.items()
        if method in METHODS
    ]


def test_it_is_valid(spec: dict[str, Any]) -> None:
    validate(spec)


def test_it_tells_of_every_operation(spec: dict[str, Any]) -> None:
    described = {
        (method.upper(), re.sub(r"{\w+}", "{}", path)) for method, path, _ in operations(spec)
    }
    one = "/api/applications/{}"
    assert described >= {
        *(("GET", path) for path in ("/api/applications", one, f"{one}/heartbeats")),
        *(("GET", path) for path in (f"{one}/incidents", "/api/incidents", "/api/incidents/{}")),
        *(("GET", path) for path in ("/api/channels", "/api/channels/{}")),
        *(("GET", path) for path in ("/api/channels/{}/deliveries", "/api/alert-plugins")),
        *(("POST", path) for path in ("/api/applications", f"{one}/pause", f"{one}/resume")),
        *(("POST", path) for path in ("/api/channels", "/api/channels/{}/test")),
        *((method, one) for method in ("PUT", "PATCH", "DELETE")),
        *((method, "/api/channels/{}") for method in ("PUT", "PATCH", "DELETE")),
    }


def test_it_leaves_out_no_route(api: Api, spec: dict[str, Any]) -> None:
    described = {
        (method.upper(), re.sub(r"{\w+}", "{}", path)) for method, path, _ in operations(spec)
    }
    routes = {
        (method, re.sub(r"<[\w:]+>", "{}", rule.rule))
        for rule in api.app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        # What shows the description is no part of it.
        if not rule.rule.startswith(("/api/docs", "/api/openapi.json"))
    }
    # These are answered before any route.
    assert described == routes | {("GET", path) for path in PATHS}


def test_errors_are_problems_and_keys_are_asked_for(spec: dict[str, Any]) -> None:
    assert {scheme["type"] for scheme in spec["components"]["securitySchemes"].values()} == {
        "http",
        "apiKey",
    }
    for method, path, operation in operations(spec):
        if not path.startswith("/api/"):
            continue
        assert operation.get("security", spec.get("security")), path
        assert operation["summary"], path
        assert "401" in operation["responses"], path
        for status, response in operation["responses"].items():
            if status >= "400":
                assert set(response["content"]) == {"application/problem+json"}, (method, path)


def test_the_page_for_people_needs_nothing_from_elsewhere(api: Api) -> None:
    answer = api.get("/api/docs", headers={})
    assert answer.status == 200
    page = answer.body.decode()
    policy = answer.headers["content-security-policy"]
    assert "default-src" in policy
    assert "unsafe-inline" not in policy.partition("script-src")[2].partition(";")[0]
    assert "http://" not in page
    assert "https://" not in page
    assert not re.search(r"<script(?![^>]*\bsrc=)", page)
    assert " onload=" not in page
    for source in re.findall(r'(?:src|href)="([^"#]+)"', page):
        if source.startswith("data:"):
            continue
        asset = api.get(source, headers={})
        assert asset.status == 200, source
        assert asset.body

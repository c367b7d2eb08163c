"""The description of the API is valid, complete and true."""

import re
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from openapi_spec_validator import validate

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
        *(("GET", path) for path in ("/health", "/health/live", "/health/ready", "/metrics")),
        *(("POST", path) for path in ("/api/applications", f"{one}/pause", f"{one}/resume")),
        *(("POST", path) for path in ("/api/channels", "/api/channels/{}/test")),
        *((method, one) for method in ("PUT", "PATCH", "DELETE")),
        *((method, "/api/channels/{}") for method in ("PUT", "PATCH", "DELETE")),
    }


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
        asset = api.get(source, headers={})
        assert asset.status == 200, source
        assert asset.body


def test_nothing_that_fits_the_description_is_a_server_error(
    api: Api, spec: dict[str, Any]
) -> None:
    """Every operation, with generated input: described answers, and never a 5xx."""
    application = api.application()
    channel = api.channel()
    schema = schemathesis.openapi.from_dict(spec)
    base = f"http://127.0.0.1:{api.port}"
    checks = (
        schemathesis.checks.not_a_server_error,
        schemathesis.checks.CHECKS.get_one("status_code_conformance"),
        schemathesis.checks.CHECKS.get_one("content_type_conformance"),
        schemathesis.checks.CHECKS.get_one("response_schema_conformance"),
    )
    for result in schema.get_all_operations():
        operation = result.ok()
        # A test of a channel waits for a receiver; it has tests of its own.
        if operation.path.endswith("/test") or operation.path.startswith("/health"):
            continue
        positive = operation.as_strategy()
        strategies = [positive]
        if operation.body or operation.query:
            strategies.append(
                operation.as_strategy(generation_mode=schemathesis.GenerationMode.NEGATIVE)
            )

        @settings(
            max_examples=12,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
            derandomize=True,
        )
        @given(case=st.one_of(strategies), known=st.booleans())
        def fuzz(case: schemathesis.Case, known: bool) -> None:
            if known and case.path_parameters:
                ids = {"channels": channel["id"], "incidents": 1}
                noun = case.operation.path.split("/")[2]
                number = ids.get(noun, application["id"])
                case.path_parameters = dict.fromkeys(case.path_parameters, number)
            case.call_and_validate(
                base_url=base, headers={"Authorization": f"Bearer {api.key}"}, checks=checks
            )

        fuzz()

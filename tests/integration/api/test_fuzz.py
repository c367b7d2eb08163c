"""Generated input against the real service: described answers only, and never a 5xx."""

import urllib.request
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.core.result import Ok

from tests.support.service import Service

EXAMPLES = 40
"""For each operation; the run is the same every time."""
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
)


@pytest.fixture
def service(database_url: str, tmp_path: Path) -> Iterator[Service]:
    with Service(tmp_path / "service", DATABASE_URL=database_url) as running:
        running.api("POST", "/applications", {"name": "Backup", "expected_interval": 60})
        hook = {"url": "https://example.com/hook"}
        running.api("POST", "/channels", {"name": "Hook", "type": "webhook", "config": hook})
        yield running


@pytest.fixture
def spec(service: Service) -> dict[str, Any]:
    described: dict[str, Any] = service.api("GET", "/openapi.json")
    return described


def fuzz(service: Service, spec: dict[str, Any]) -> set[int]:
    """Call every operation with generated input, check the answers and return their statuses."""
    seen: set[int] = set()
    schema = schemathesis.openapi.from_dict(spec)
    checks: Any = [schemathesis.checks.CHECKS.get_one(name) for name in CHECKS]
    for result in schema.get_all_operations():
        assert isinstance(result, Ok), result
        operation = result.ok()
        # A test of a channel would call the address that was made up.
        if operation.path.endswith("/test"):
            continue
        strategies = [operation.as_strategy()]
        if operation.body or operation.query:
            strategies.append(
                operation.as_strategy(generation_mode=schemathesis.GenerationMode.NEGATIVE)
            )

        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
            derandomize=True,
        )
        @given(case=st.one_of(strategies), known=st.booleans())
        def run(case: schemathesis.Case[Any], known: bool) -> None:
            if known and case.path_parameters:
                case.path_parameters = dict.fromkeys(case.path_parameters, 1)
            answer = case.call_and_validate(
                base_url=service.url,
                headers={"Authorization": f"Bearer {service.key}"},
                checks=checks,
            )
            seen.add(answer.status_code)

        run()
    return seen


@pytest.mark.timeout(180)
def test_every_answer_is_one_that_is_described(service: Service, spec: dict[str, Any]) -> None:
    seen = fuzz(service, spec)
    # Were it all refused at the door, nothing would have been tried.
    assert seen >= {200, 201, 204, 400, 404, 422}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_answers_carry_one_date(service: Service) -> None:
    for path in ("/api/docs", "/api/docs/docs.js", "/api/openapi.json", "/health"):
        with urllib.request.urlopen(service.url + path, timeout=20) as answer:
            assert len(answer.headers.get_all("Date")) == 1, path


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("lie", ["a field", "a status"])
def test_a_description_that_is_not_true_is_found_out(
    service: Service, spec: dict[str, Any], lie: str
) -> None:
    told = deepcopy(spec)
    listing = told["paths"]["/api/applications"]["get"]
    told["paths"] = {"/api/applications": {"get": listing}}
    if lie == "a field":
        told["components"]["schemas"]["Application"]["required"].append("colour")
    else:
        listing["responses"]["206"] = listing["responses"].pop("200")
    with pytest.raises(BaseException, match=r"colour|Undocumented status code"):
        fuzz(service, told)

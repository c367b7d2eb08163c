"""docs/reference/rest-api.md tells of every operation, and its examples look like the answers."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from heartbeat_central.api import models
from tests.integration.api.conftest import Api

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "rest-api.md"
EXAMPLES = re.findall(r"<!-- (\w+) -->\n```json\n(.*?)```", PAGE.read_text(), re.S)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_every_operation_is_named(api: Api) -> None:
    text = PAGE.read_text()
    missing = [
        f"{method.upper()} {path}"
        for path, item in api.get("/api/openapi.json").json["paths"].items()
        for method in item
        if f"`{method.upper()} {path}`" not in text
    ]
    assert missing == []


def test_there_is_an_example_of_everything() -> None:
    assert {name for name, _ in EXAMPLES} == {
        "Application",
        "Channel",
        "Delivery",
        "Health",
        "Heartbeat",
        "Incident",
        "TestResult",
    }


@pytest.mark.parametrize(("name", "example"), EXAMPLES)
def test_an_example_has_the_fields_of_an_answer(name: str, example: str) -> None:
    model = getattr(models, name)
    shown: Any = json.loads(example)
    for one in shown if isinstance(shown, list) else [shown]:
        assert set(one) == set(model.model_fields)
        model.model_validate(one)


def test_every_field_of_an_application_is_explained() -> None:
    text = PAGE.read_text()
    assert [name for name in models.Application.model_fields if f"`{name}`" not in text] == []


def test_all_json_is_json() -> None:
    for block in re.findall(r"```json\n(.*?)```", PAGE.read_text(), re.S):
        json.loads(block)

"""The reference of the alert plugins names every type and key there is, and tells the truth."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from heartbeat_central.alerts import config as plugin_config
from heartbeat_central.alerts.registry import BUILT_IN, Registry
from heartbeat_central.domain import unwatched
from heartbeat_central.domain.alert import Alert, AlertKind, text
from heartbeat_central.domain.digest import ListedApplication
from heartbeat_central.domain.incident import Reason
from tests.contract.test_wording import outage
from tests.support.sample_alerts import application, digest

PAGE = (Path(__file__).parents[2] / "docs/reference/alert-plugins.md").read_text("utf-8")
SECTIONS = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", PAGE, flags=re.M | re.S))
TYPES = [plugin.type for plugin in BUILT_IN]


def test_every_type_has_a_section_and_every_section_a_type() -> None:
    assert [name for name in SECTIONS if name.islower()] == TYPES


@pytest.mark.parametrize("type_", TYPES)
def test_every_key_is_in_the_table_as_it_is(registry: Registry, type_: str) -> None:
    schema = plugin_config.json_schema(registry.get(type_))
    rows = re.findall(
        r"^\| `(\w+)` \| (yes|no) \| (yes|no) \| (.*?)\| \S.* \|$", SECTIONS[type_], flags=re.M
    )
    expected = [
        (
            name,
            "yes" if name in schema.get("required", []) else "no",
            "yes" if '"writeOnly": true' in json.dumps(spec) else "no",
        )
        for name, spec in schema["properties"].items()
    ]
    assert [row[:3] for row in rows] == expected


@pytest.mark.parametrize("type_", TYPES)
def test_the_example_can_be_posted_as_it_stands(registry: Registry, type_: str) -> None:
    [example] = re.findall(r"^```json\n(.*?)^```", SECTIONS[type_], flags=re.M | re.S)
    channel = json.loads(example)
    assert channel.keys() == {"name", "type", "config"}
    assert channel["type"] == type_
    plugin_config.validate(registry.get(type_), channel["config"])


def test_the_messages_are_shown_as_they_are() -> None:
    down = outage(AlertKind.DOWN, Reason.FAILED, 3)
    up = outage(AlertKind.UP, Reason.FAILED, 3)
    shown = re.findall(r"^```text\n(.*?)\n```", PAGE, flags=re.M | re.S)
    storm = digest(["Nightly backup", "Web shop"])
    assert shown == [text(down), text(up), text(storm), text(not_watched())]


def not_watched() -> Alert:
    cleanup = replace(
        ListedApplication.of(application("Cleanup")),
        problem="schedule.timezone: 'Mars/Olympus' is no IANA time zone;"
        " try `Europe/Vienna` or `UTC`",
    )
    (told,) = unwatched.digests([cleanup])
    return replace(digest([]), digest=told)

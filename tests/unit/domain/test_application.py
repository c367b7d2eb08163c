"""The rules that an application's settings keep."""

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from heartbeat_central.domain.application import (
    Application,
    ApplicationSettings,
    settings_from,
    slug_of,
)
from heartbeat_central.domain.errors import Invalid
from heartbeat_central.domain.schedule import IntervalSchedule, Timing

GOOD: dict[str, Any] = {"name": "Backup", "expected_interval": 60, "schedule": None}
NOW = datetime(2026, 11, 23, tzinfo=UTC)


def test_makes_a_slug_from_the_name() -> None:
    assert settings_from(**GOOD).slug == "backup"
    assert settings_from(**GOOD, slug="mine").slug == "mine"


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Nightly backup (DB)", "nightly-backup-db"),
        ("Café  Olé!", "cafe-ole"),
        ("漢字", "application"),
    ],
)
def test_a_slug_is_safe_in_a_url(name: str, slug: str) -> None:
    assert slug_of(name) == slug


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "   "}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"name": "a\x00b"}, "name"),
        ({"name": "\ud800"}, "name"),
        ({"description": "x" * 10_001}, "description"),
        ({"slug": "Not A Slug"}, "slug"),
        ({"slug": "x" * 201}, "slug"),
        ({"tags": ["x"] * 51}, "tags"),
        ({"tags": ["fine", ""]}, "tags.1"),
        ({"grace_period": -1}, "grace_period"),
        ({"expected_interval": 0}, "expected_interval"),
        ({"expected_interval": None}, "expected_interval"),
        ({"schedule": {"kind": "cron", "expression": "x"}}, "expected_interval"),
    ],
)
def test_refuses_a_bad_field_by_name(change: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as refused:
        settings_from(**{**GOOD, **change})
    assert [error.field for error in refused.value.errors] == [field]


def test_names_every_bad_field_at_once() -> None:
    with pytest.raises(Invalid) as refused:
        settings_from(name="", expected_interval=0, schedule=None, slug="!")
    assert {error.field for error in refused.value.errors} == {
        "name",
        "slug",
        "expected_interval",
    }


def test_a_cron_schedule_has_no_interval() -> None:
    settings = settings_from(
        name="Backup", expected_interval=None, schedule={"kind": "cron", "expression": "@daily"}
    )
    assert settings.expected_interval is None
    assert settings_from(**GOOD).expected_interval == 60


def test_a_change_keeps_the_identity() -> None:
    before = Application(
        id=1,
        uuid=uuid4(),
        project_id=1,
        settings=settings_from(**GOOD),
        created_at=NOW,
        updated_at=NOW,
    )
    later = datetime(2026, 11, 24, tzinfo=UTC)
    after = before.with_settings(settings_from(**{**GOOD, "name": "Copy"}), now=later)
    assert (after.uuid, after.updated_at, after.settings.name) == (before.uuid, later, "Copy")


def test_settings_built_directly_keep_the_same_rules() -> None:
    timing = Timing(schedule=IntervalSchedule(60))
    with pytest.raises(Invalid, match="name"):
        ApplicationSettings(name="", timing=timing)

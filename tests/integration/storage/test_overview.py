"""Lists and counts: what the database leaves out. What is left, the domain judges."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, update

from heartbeat_central.domain.state import Shown, Status
from heartbeat_central.storage import applications, overview, tables
from tests.support import rows
from tests.support.rows import at

A_MICROSECOND = timedelta(microseconds=1)


def page(connection: Connection, project_id: int, **asked: Any) -> list[int]:
    given = {"now": at(0), "limit": 99, **asked}
    return [one.id for one in overview.page(connection, project_id, **given)]


def tagged(connection: Connection, project_id: int, *tags: str) -> int:
    made = rows.application(connection, project_id)
    settings = replace(applications.load(connection, made).settings, tags=tags)
    applications.save_settings(connection, made, settings, now=at(0))
    return made


def test_pages_go_from_the_newest_to_the_oldest_and_meet_without_a_gap(
    connection: Connection, project_id: int
) -> None:
    made = [rows.application(connection, project_id) for _ in range(5)]
    rows.application(connection, rows.project(connection))
    pages, before_id = [], None
    while found := page(connection, project_id, limit=2, before_id=before_id):
        pages.append(found)
        before_id = found[-1]
    assert pages == [[made[4], made[3]], [made[2], made[1]], [made[0]]]


@pytest.mark.parametrize(
    ("search", "name"),
    [
        ("BACK", "My backup"),
        ("äöüß", "ÄÖÜß"),
        ("ÇELIK", "çelik"),
        ("привет", "ПРИВЕТ"),
        ("🔥", "fire 🔥"),
        ("100%", "at 100% load"),
        ("a_b", "a_b"),
        ("\\", "back\\slash"),
        ("/", "a/b"),
        ("'", "it's"),
        ("my-b", "My b"),
    ],
)
def test_a_search_finds_a_part_of_name_or_slug_in_any_case(
    connection: Connection, project_id: int, search: str, name: str
) -> None:
    rows.application(connection, project_id, "nothing of it")
    rows.application(connection, project_id, "100 axb 1009")
    made = rows.application(connection, project_id, name)
    assert page(connection, project_id, search=search) == [made]


def test_a_tag_is_found_whole(connection: Connection, project_id: int) -> None:
    tags = ("db", 'a "quoted" one', "100%", "ünïcode 🔥", "back\\slash", "[1]", "null")
    every = tagged(connection, project_id, *tags)
    first = tagged(connection, project_id, "db")
    tagged(connection, project_id)
    assert page(connection, project_id, tag="db") == [first, every]
    for tag in tags[1:]:
        assert page(connection, project_id, tag=tag) == [every]
    for part in ("d", "DB", "quoted", "%", "1", ""):
        assert page(connection, project_id, tag=part) == []


def test_what_a_status_can_not_be_is_left_out(connection: Connection, project_id: int) -> None:
    made: dict[str, int] = {}

    def add(name: str, status: Status, heard: datetime | None, **more: Any) -> None:
        made[name] = rows.application(
            connection, project_id, name, status=status, last_heartbeat_at=heard, **more
        )

    add("new", Status.NEW, None, armed_at=at(0))
    add("up", Status.UP, at(0))
    add("late", Status.UP, at(-60))
    add("just heard of", Status.UP, at(-60) + A_MICROSECOND)
    add("late from the start", Status.NEW, None, armed_at=at(-60))
    add("running", Status.UP, at(-99), started_at=at(-1))
    add("down", Status.DOWN, at(-99))
    add("down and started", Status.DOWN, at(-99), started_at=at(-1))
    add("paused", Status.PAUSED, at(-99))
    names = {id_: name for name, id_ in made.items()}

    def shown(status: Shown) -> set[str]:
        return {names[id_] for id_ in page(connection, project_id, status=status)}

    # What may be late may be shown as new or up as well: which of them, the time tells.
    assert shown(Shown.NEW) == {"new", "late from the start"}
    assert shown(Shown.UP) == {"up", "late", "just heard of"}
    assert shown(Shown.LATE) == {"late", "late from the start"}
    assert shown(Shown.RUNNING) == {"running"}
    assert shown(Shown.DOWN) == {"down", "down and started"}
    assert shown(Shown.PAUSED) == {"paused"}
    late = overview.maybe_late(connection, project_id, now=at(0))
    assert {names[one.id] for one in late} == shown(Shown.LATE)


def test_an_interval_counts_whole_seconds_of_any_length(
    connection: Connection, project_id: int
) -> None:
    year = 366 * 24 * 3600
    made = rows.application(connection, project_id, status=Status.UP, last_heartbeat_at=at(-year))
    connection.execute(update(tables.applications).values(expected_interval=year))
    assert page(connection, project_id, status=Shown.LATE) == [made]
    assert page(connection, project_id, status=Shown.LATE, now=at(0) - A_MICROSECOND) == []


def test_applications_are_counted_by_status_and_whether_they_run(
    connection: Connection, project_id: int
) -> None:
    assert overview.count(connection, project_id) == {}
    for status, started_at in (
        (Status.UP, None),
        (Status.UP, None),
        (Status.UP, at(0)),
        (Status.DOWN, at(0)),
        (Status.NEW, None),
    ):
        rows.application(connection, project_id, status=status, started_at=started_at)
    rows.application(connection, rows.project(connection), status=Status.PAUSED)
    assert overview.count(connection, project_id) == {
        (Status.UP, False): 2,
        (Status.UP, True): 1,
        (Status.DOWN, True): 1,
        (Status.NEW, False): 1,
    }

"""Many rows in one document: every value arrives as it would for itself."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Connection, Row, insert, select
from sqlalchemy.exc import SQLAlchemyError

from heartbeat_central.storage import tables
from heartbeat_central.storage.rows import insert_rows, update_rows
from tests.support import rows
from tests.support.rows import NOON

TEXTS = [
    "",
    'it\'s "quoted" \\ and\nbroken',
    "Sicherung für 日本 👩‍👩‍👧",
    "0123456789",
    "null",
    '{"a": 1}',
    "[1]",
    "1e3",
    "%s :name $.name",
]
MOMENTS = [
    datetime(1, 1, 1, tzinfo=UTC),
    datetime(2026, 11, 23, 12, 0, 0, 123456, tzinfo=timezone(timedelta(hours=5))),
    datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
]


def alert(project_id: int, **values: Any) -> dict[str, Any]:
    row = {"project_id": project_id, "kind": "test", "snapshot": {}, "created_at": NOON}
    return {**row, **values}


def stored(connection: Connection) -> list[Row[Any]]:
    query = select(tables.alerts).order_by(tables.alerts.c.id)
    return list(connection.execute(query).all())


@pytest.mark.parametrize(
    "snapshot",
    [
        {},
        {"text": TEXTS, "none": None, "true": True, "large": rows.LARGEST, "half": 0.5},
        {"nested": {"list": [{"a": []}], "": "no name"}},
    ],
)
def test_a_document_inside_comes_back_as_it_was(
    connection: Connection, project_id: int, snapshot: dict[str, Any]
) -> None:
    insert_rows(connection, tables.alerts, [alert(project_id, snapshot=snapshot)])
    assert stored(connection)[0].snapshot == snapshot


@pytest.mark.parametrize("name", TEXTS)
def test_text_comes_back_as_it_was(connection: Connection, project_id: int, name: str) -> None:
    project = {"uuid": uuid4(), "name": name, "created_at": NOON}
    insert_rows(connection, tables.projects, [project])
    found = connection.execute(
        select(tables.projects.c.name).where(tables.projects.c.uuid == project["uuid"])
    )
    assert found.scalar_one() == name


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_moment_comes_back_as_it_was(
    connection: Connection, project_id: int, moment: datetime
) -> None:
    insert_rows(connection, tables.alerts, [alert(project_id, created_at=moment)])
    assert stored(connection)[0].created_at == moment


def test_a_moment_without_a_zone_is_refused(connection: Connection, project_id: int) -> None:
    naive = [alert(project_id, created_at=datetime(2026, 1, 1))]
    with pytest.raises(ValueError, match="aware"):
        insert_rows(connection, tables.alerts, naive)


@pytest.mark.parametrize("uuid", [UUID(int=0), UUID(int=7), uuid4()])
def test_a_uuid_is_the_one_that_a_statement_of_its_own_stores(
    connection: Connection, project_id: int, uuid: UUID
) -> None:
    insert_rows(
        connection, tables.projects, [{"uuid": uuid, "name": "A project", "created_at": NOON}]
    )
    found = select(tables.projects.c.uuid).where(tables.projects.c.uuid == uuid)
    assert connection.execute(found).scalar_one() == uuid


def test_what_is_no_text_is_refused(connection: Connection, project_id: int) -> None:
    half = [alert(project_id, snapshot={"name": "Backup \ud800"})]
    with pytest.raises((UnicodeEncodeError, SQLAlchemyError)), connection.begin_nested():
        insert_rows(connection, tables.alerts, half)


def test_rows_are_inserted_in_their_order(connection: Connection, project_id: int) -> None:
    wanted = [alert(project_id, snapshot={"place": place}) for place in range(1_000)]
    insert_rows(connection, tables.alerts, wanted)
    assert [row.snapshot["place"] for row in stored(connection)] == list(range(1_000))


def test_only_the_rows_named_are_updated_and_only_their_columns(
    connection: Connection, project_id: int
) -> None:
    made = [rows.channel(connection, project_id) for _ in range(3)]
    before = {row.id: row for row in connection.execute(select(tables.channels))}
    later = NOON + timedelta(seconds=1)
    update_rows(
        connection,
        tables.channels,
        "id",
        [
            {"is_active": False, "id": made[2], "fallback_told_at": later},
            {"is_active": True, "id": made[0], "fallback_told_at": None},
            {"is_active": True, "id": rows.LARGEST, "fallback_told_at": later},
        ],
    )
    after = {row.id: row for row in connection.execute(select(tables.channels))}
    changed: dict[int, dict[str, Any]] = {
        made[0]: {"is_active": True, "fallback_told_at": None},
        made[2]: {"is_active": False, "fallback_told_at": later},
    }
    assert after.keys() == before.keys()
    for id_, row in after.items():
        assert row._asdict() == {**before[id_]._asdict(), **changed.get(id_, {})}


def test_nothing_to_write_is_no_statement(connection: Connection, project_id: int) -> None:
    insert_rows(connection, tables.alerts, [])
    update_rows(connection, tables.alerts, "id", [])
    assert stored(connection) == []


def test_a_row_that_refers_to_nothing_is_refused(connection: Connection, project_id: int) -> None:
    connection.execute(insert(tables.alerts).values(alert(project_id)))
    with pytest.raises(SQLAlchemyError), connection.begin_nested():
        insert_rows(connection, tables.alerts, [alert(rows.LARGEST)])

"""Outages: at most one open an application, closed once, listed newest first."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import Connection

from heartbeat_central.domain.errors import Conflict, NotFound
from heartbeat_central.domain.incident import Incident, Reason
from heartbeat_central.storage import applications, incidents, tables
from heartbeat_central.storage.engine import Database
from heartbeat_central.storage.incidents import NewIncident
from tests.support import rows
from tests.support.rows import NOON, at

A_MICROSECOND = timedelta(microseconds=1)


def new(project_id: int, application_id: int, opened_at: datetime = NOON) -> NewIncident:
    return NewIncident(
        project_id=project_id,
        application_id=application_id,
        reason=Reason.MISSED,
        exit_status=None,
        opened_at=opened_at,
        last_heartbeat_at=None,
    )


@pytest.mark.parametrize("reason", Reason)
@pytest.mark.parametrize(
    ("exit_status", "last_heartbeat_at"), [(None, None), (255, NOON - A_MICROSECOND)]
)
def test_every_field_comes_back_as_it_was(
    connection: Connection,
    project_id: int,
    reason: Reason,
    exit_status: int | None,
    last_heartbeat_at: datetime | None,
) -> None:
    application_id = rows.application(connection, project_id)
    opened_at = at(1) + A_MICROSECOND
    made = rows.incident(
        connection,
        project_id,
        application_id,
        opened_at,
        reason=reason,
        exit_status=exit_status,
        last_heartbeat_at=last_heartbeat_at,
    )
    expected = Incident(
        id=made,
        application_id=application_id,
        reason=reason,
        exit_status=exit_status,
        opened_at=opened_at,
        closed_at=None,
        last_heartbeat_at=last_heartbeat_at,
    )
    assert incidents.find(connection, project_id, made) == expected
    assert incidents.load_many(connection, [made, rows.LARGEST]) == [expected]
    assert incidents.open_of(connection, [application_id, rows.LARGEST]) == {
        application_id: expected
    }


def test_many_open_at_once_and_come_back_in_the_order_given(
    connection: Connection, project_id: int
) -> None:
    made = [rows.application(connection, project_id) for _ in range(3)]
    order = [made[1], made[2], made[0]]
    opened = incidents.open_many(
        connection, [new(project_id, one, at(number)) for number, one in enumerate(order)]
    )
    assert [one.application_id for one in opened] == order
    assert [one.opened_at for one in opened] == [at(0), at(1), at(2)]
    assert sorted(one.id for one in opened) == [one.id for one in opened]
    for one in opened:
        assert incidents.find(connection, project_id, one.id) == one
    assert incidents.open_many(connection, []) == []


def test_an_application_has_one_open_incident_and_any_number_of_closed_ones(
    connection: Connection, project_id: int
) -> None:
    application_id = rows.application(connection, project_id)
    for second in (0, 10):
        rows.incident(connection, project_id, application_id, at(second), closed_at=at(second + 5))
    rows.incident(connection, project_id, application_id, at(20))
    with rows.refused(connection):
        rows.incident(connection, project_id, application_id, at(30))
    assert rows.count(connection, tables.incidents) == 3
    rows.incident(connection, project_id, rows.application(connection, project_id))


def test_who_opens_a_second_one_stores_nothing_of_its_transaction(database: Database) -> None:
    with database.write() as connection:
        project_id = rows.project(connection)
        first, second = (rows.application(connection, project_id) for _ in range(2))
        rows.incident(connection, project_id, second)
    with pytest.raises(Conflict), database.write() as connection:
        incidents.open_many(connection, [new(project_id, first), new(project_id, second)])
    with database.read() as connection:
        assert set(incidents.open_of(connection, [first, second])) == {second}


def test_closing_returns_what_was_open_and_only_that(
    connection: Connection, project_id: int
) -> None:
    down, up, left = (rows.application(connection, project_id) for _ in range(3))
    over = rows.incident(connection, project_id, up, closed_at=at(1))
    made = rows.incident(connection, project_id, down, at(2), exit_status=3)
    rows.incident(connection, project_id, left)
    moments = {up: at(9), down: at(10) + A_MICROSECOND, rows.LARGEST: at(9)}
    (closed,) = incidents.close_many(connection, moments)
    assert closed == incidents.find(connection, project_id, made)
    assert (closed.closed_at, closed.exit_status) == (at(10) + A_MICROSECOND, 3)
    assert incidents.find(connection, project_id, over).closed_at == at(1)
    assert set(incidents.open_of(connection, [down, up, left])) == {left}
    assert incidents.close_many(connection, moments) == [], "it is closed once"
    assert incidents.find(connection, project_id, made) == closed
    assert incidents.close_many(connection, {}) == []


def test_an_outage_never_ends_before_it_began(connection: Connection, project_id: int) -> None:
    """A heartbeat that waited to be stored may be older than the outage it ends."""
    application_id = rows.application(connection, project_id)
    made = rows.incident(connection, project_id, application_id, at(5))
    incidents.close_open(connection, application_id, at(4))
    assert incidents.find(connection, project_id, made).closed_at == at(5)


def test_incidents_of_other_projects_are_not_found(connection: Connection, project_id: int) -> None:
    made = rows.incident(connection, project_id, rows.application(connection, project_id))
    for whose, which in (
        (rows.project(connection), made),
        (project_id, made + 1),
        (project_id, rows.LARGEST),
    ):
        with pytest.raises(NotFound):
            incidents.find(connection, whose, which)


def test_pages_go_from_the_newest_and_settle_equal_times_by_id(
    connection: Connection, project_id: int
) -> None:
    same = at(5) + A_MICROSECOND
    opened = [same, at(9), same, at(1), same]
    made = [
        rows.incident(connection, project_id, rows.application(connection, project_id), one)
        for one in opened
    ]
    other = rows.project(connection)
    rows.incident(connection, other, rows.application(connection, other), same)
    pages, before = [], None
    while page := incidents.page(connection, project_id, limit=2, before=before):
        pages.append([one.id for one in page])
        before = page[-1].opened_at, page[-1].id
    assert pages == [[made[1], made[4]], [made[2], made[0]], [made[3]]]
    same_and_older = incidents.page(connection, project_id, limit=9, before=(same, made[2]))
    assert [one.id for one in same_and_older] == [made[0], made[3]]


def test_a_page_holds_one_application_or_open_ones_only_when_asked_to(
    connection: Connection, project_id: int
) -> None:
    first, second = (rows.application(connection, project_id) for _ in range(2))
    over = rows.incident(connection, project_id, first, at(1), closed_at=at(2))
    lasting = rows.incident(connection, project_id, first, at(3))
    other = rows.incident(connection, project_id, second, at(4))

    def ids(**only: object) -> list[int]:
        found = incidents.page(connection, project_id, limit=9, **only)  # type: ignore[arg-type]
        return [one.id for one in found]

    assert ids() == [other, lasting, over]
    assert ids(application_id=first) == [lasting, over]
    assert ids(open_only=True) == [other, lasting]
    assert ids(application_id=first, open_only=True) == [lasting]
    assert ids(application_id=rows.LARGEST) == []


def test_the_newest_id_is_known(connection: Connection, project_id: int) -> None:
    assert incidents.newest_id(connection) is None
    for _ in range(2):
        made = rows.incident(connection, project_id, rows.application(connection, project_id))
        assert incidents.newest_id(connection) == made


def test_the_id_of_a_deleted_incident_is_never_given_again(
    connection: Connection, project_id: int
) -> None:
    """An alert about it may still be on its way."""
    application_id = rows.application(connection, project_id)
    gone = rows.incident(connection, project_id, application_id)
    applications.remove(connection, application_id)
    assert rows.incident(connection, project_id, rows.application(connection, project_id)) > gone

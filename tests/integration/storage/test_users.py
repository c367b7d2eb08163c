"""Projects, accounts and sessions."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, delete, func, insert, select

from heartbeat_central.domain.errors import Conflict
from heartbeat_central.storage import projects, tables, users
from heartbeat_central.storage.engine import Database
from heartbeat_central.storage.users import SessionUser, User
from tests.support import rows
from tests.support.rows import NOON, at

TOKEN = bytes(range(32))


def add(connection: Connection, project_id: int, email: str = "ada@example.com") -> int:
    return users.add(
        connection,
        email=email,
        password_hash="$argon2",
        project_id=project_id,
        role="owner",
        now=NOON,
    )


def sign_in(connection: Connection, user_id: int, token: bytes = TOKEN, until: float = 60) -> None:
    users.add_session(connection, token_hash=token, user_id=user_id, now=NOON, expires_at=at(until))


def test_the_first_project_is_made_once_and_found_again(connection: Connection) -> None:
    assert projects.first_id(connection) is None
    made = projects.make_first(connection, name="Default", now=NOON)
    assert projects.make_first(connection, name="Another", now=NOON) == made
    rows.project(connection, "Later")
    assert projects.first_id(connection) == made
    stored = rows.row(connection, tables.projects, made)
    assert (stored.name, stored.created_at) == ("Default", NOON)


def test_changes_of_a_project_are_counted(connection: Connection, project_id: int) -> None:
    other = rows.project(connection)
    assert projects.changes(connection, project_id) == 0
    for _ in range(2):
        projects.note_change(connection, project_id)
    assert projects.changes(connection, project_id) == 2
    assert projects.changes(connection, other) == 0
    assert projects.changes(connection, rows.LARGEST) is None


def test_processes_that_start_together_make_one_project(database: Database) -> None:
    begin = threading.Barrier(4)

    def start(_: int) -> int:
        begin.wait(10)
        with database.write() as connection:
            return projects.make_first(connection, name="Default", now=NOON)

    with ThreadPoolExecutor(4) as nodes:
        assert len(set(nodes.map(start, range(4)))) == 1
    with database.read() as connection:
        assert rows.count(connection, tables.projects) == 1


@pytest.mark.parametrize(
    "email", ["ada@example.com", "ü🔥@example.com", "a" * 242 + "@example.com"]
)
def test_an_account_is_found_by_its_address(
    connection: Connection, project_id: int, email: str
) -> None:
    assert users.by_email(connection, email) is None
    user_id = add(connection, project_id, email)
    found = users.by_email(connection, email)
    assert found == User(id=user_id, email=email, password_hash="$argon2")
    assert "argon2" not in repr(found)
    assert users.by_email(connection, email.upper()) is None, "addresses come in lower case"
    assert users.count(connection) == 1


def test_a_new_account_is_a_member_of_its_project(connection: Connection, project_id: int) -> None:
    user_id = add(connection, project_id)
    (member,) = connection.execute(select(tables.members)).all()
    assert (member.project_id, member.user_id, member.role) == (project_id, user_id, "owner")


def test_an_address_has_one_account(connection: Connection, project_id: int) -> None:
    add(connection, project_id)
    with rows.refused(connection):
        add(connection, project_id)
    assert users.count(connection) == 1


def test_who_loses_the_race_for_an_address_hears_of_a_conflict_and_stores_nothing(
    database: Database,
) -> None:
    with database.write() as connection:
        first, second = rows.project(connection), rows.project(connection)
        add(connection, first)

    def lose(connection: Connection) -> None:
        rows.project(connection, "Third")
        add(connection, second)

    with pytest.raises(Conflict) as caught, database.write() as connection:
        lose(connection)
    assert "ada@example.com" not in str(caught.value), "it may end up in a log"
    with database.read() as connection:
        assert rows.count(connection, tables.projects) == 2, "the whole transaction is undone"
        assert rows.count(connection, tables.members) == 1


def test_an_account_needs_a_project_that_exists(connection: Connection) -> None:
    with rows.refused(connection):
        add(connection, rows.LARGEST)
    assert users.count(connection) == 0


def test_a_session_tells_who_is_signed_in_until_it_expires(
    connection: Connection, project_id: int
) -> None:
    user_id = add(connection, project_id)
    sign_in(connection, user_id, until=60)
    signed_in = SessionUser(user_id=user_id, email="ada@example.com", project_id=project_id)
    just_before = at(60) - timedelta(microseconds=1)
    assert users.session_user(connection, TOKEN, now=NOON) == signed_in
    assert users.session_user(connection, TOKEN, now=just_before) == signed_in
    assert users.session_user(connection, TOKEN, now=at(60)) is None
    assert users.session_user(connection, TOKEN[::-1], now=NOON) is None


def test_a_member_of_several_projects_sees_the_oldest(connection: Connection) -> None:
    first, second = rows.project(connection), rows.project(connection)
    user_id = add(connection, second)
    sign_in(connection, user_id)
    insertion = insert(tables.members).values(project_id=first, user_id=user_id, role="member")
    connection.execute(insertion)
    found = users.session_user(connection, TOKEN, now=NOON)
    assert found is not None
    assert found.project_id == first


def test_who_is_a_member_of_nothing_is_not_signed_in(
    connection: Connection, project_id: int
) -> None:
    sign_in(connection, add(connection, project_id))
    connection.execute(delete(tables.projects))
    assert users.count(connection) == 1
    assert users.session_user(connection, TOKEN, now=NOON) is None


def test_signing_out_ends_one_session(connection: Connection, project_id: int) -> None:
    user_id = add(connection, project_id)
    other = TOKEN[::-1]
    for token in (TOKEN, other):
        sign_in(connection, user_id, token)
    users.remove_session(connection, TOKEN)
    users.remove_session(connection, TOKEN)
    assert users.session_user(connection, TOKEN, now=NOON) is None
    assert users.session_user(connection, other, now=NOON) is not None


def test_a_token_has_one_session(connection: Connection, project_id: int) -> None:
    user_id = add(connection, project_id)
    sign_in(connection, user_id)
    with rows.refused(connection):
        sign_in(connection, user_id)


def test_expired_sessions_go(connection: Connection, project_id: int) -> None:
    user_id = add(connection, project_id)
    for number, until in enumerate((10, 20, 30)):
        sign_in(connection, user_id, bytes([number]) * 32, until)
    assert users.remove_expired_sessions(connection, now=at(20)) == 2
    assert users.remove_expired_sessions(connection, now=at(20)) == 0
    assert rows.count(connection, tables.sessions) == 1


def test_an_account_goes_with_its_sessions_and_memberships(
    connection: Connection, project_id: int
) -> None:
    user_id, other = add(connection, project_id), add(connection, project_id, "bob@example.com")
    sign_in(connection, user_id)
    sign_in(connection, other, TOKEN[::-1])
    connection.execute(delete(tables.users).where(tables.users.c.id == user_id))
    for table in (tables.members, tables.sessions):
        assert connection.execute(select(table.c.user_id)).scalars().all() == [other]


def test_ids_of_deleted_rows_are_never_given_again(connection: Connection, project_id: int) -> None:
    def newest(table: Any) -> int:
        return connection.execute(select(func.max(table.c.id))).scalar_one()

    add(connection, project_id)
    gone = newest(tables.users), newest(tables.projects)
    connection.execute(delete(tables.users))
    connection.execute(delete(tables.projects))
    add(connection, rows.project(connection))
    assert newest(tables.users) > gone[0]
    assert newest(tables.projects) > gone[1]

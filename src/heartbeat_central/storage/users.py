"""Accounts, their membership of projects, and their sessions."""

from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, delete, func, insert, select

from heartbeat_central.storage.tables import members, sessions, users


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """An account."""

    id: int
    email: str
    password_hash: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionUser:
    """Who is signed in, and the project they see."""

    user_id: int
    email: str
    project_id: int


def count(connection: Connection) -> int:
    """Return how many accounts there are."""
    return connection.execute(select(func.count()).select_from(users)).scalar_one()


def by_email(connection: Connection, email: str) -> User | None:
    """Return the account with this address, None when there is none."""
    row = connection.execute(
        select(users.c.id, users.c.email, users.c.password_hash).where(users.c.email == email)
    ).one_or_none()
    return (
        None if row is None else User(id=row.id, email=row.email, password_hash=row.password_hash)
    )


def add(
    connection: Connection,
    *,
    email: str,
    password_hash: str,
    project_id: int,
    role: str,
    now: datetime,
) -> int:
    """Store a new account as a member of a project and return its id."""
    user_id: int = connection.execute(
        insert(users)
        .values(email=email, password_hash=password_hash, created_at=now)
        .returning(users.c.id)
    ).scalar_one()
    connection.execute(insert(members).values(project_id=project_id, user_id=user_id, role=role))
    return user_id


def add_session(
    connection: Connection,
    *,
    token_hash: bytes,
    user_id: int,
    now: datetime,
    expires_at: datetime,
) -> None:
    """Store a session; of its token only the hash."""
    connection.execute(
        insert(sessions).values(
            token_hash=token_hash, user_id=user_id, created_at=now, expires_at=expires_at
        )
    )


def session_user(connection: Connection, token_hash: bytes, *, now: datetime) -> SessionUser | None:
    """Return who has this session; None when there is none or it has expired."""
    row = connection.execute(
        select(users.c.id, users.c.email, members.c.project_id)
        .join_from(sessions, users)
        .join(members, members.c.user_id == users.c.id)
        .where(sessions.c.token_hash == token_hash, sessions.c.expires_at > now)
        .order_by(members.c.project_id)
        .limit(1)
    ).one_or_none()
    if row is None:
        return None
    return SessionUser(user_id=row.id, email=row.email, project_id=row.project_id)


def remove_session(connection: Connection, token_hash: bytes) -> None:
    """Delete a session."""
    connection.execute(delete(sessions).where(sessions.c.token_hash == token_hash))


def remove_expired_sessions(connection: Connection, *, now: datetime) -> int:
    """Delete the sessions that have expired; return how many."""
    return connection.execute(delete(sessions).where(sessions.c.expires_at <= now)).rowcount

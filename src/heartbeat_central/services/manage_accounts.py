"""Accounts and sessions: opaque tokens, of which only hashes are stored."""

import hashlib
import re
import secrets
from datetime import datetime, timedelta

from heartbeat_central.domain.errors import Conflict, Invalid, Unauthenticated
from heartbeat_central.domain.text import is_storable
from heartbeat_central.services import passwords
from heartbeat_central.services.default_project import NAME
from heartbeat_central.storage import projects, users
from heartbeat_central.storage.engine import Database
from heartbeat_central.storage.users import SessionUser

SESSION_LIFE = timedelta(days=30)


def count_users(database: Database) -> int:
    """Return how many accounts there are."""
    with database.read() as connection:
        return users.count(connection)


def create_first_account(database: Database, email: str, password: str, *, now: datetime) -> None:
    """Make the first account, the owner of the first project.

    Raises Conflict when there is an account already, Invalid on `email` or `password`.
    """
    _add(database, email, password, role="owner", now=now, first=True)


def add_user(database: Database, email: str, password: str, *, now: datetime) -> None:
    """Add an account to the first project. Raises Conflict when the address is taken, Invalid."""
    _add(database, email, password, role="member", now=now, first=False)


def sign_in(database: Database, email: str, password: str, *, now: datetime) -> str:
    """Return the token of a new session. Raises Unauthenticated when address or password is wrong."""
    email = email.strip().lower()
    user = None
    if _is_address(email):
        with database.read() as connection:
            user = users.by_email(connection, email)
    # The hash is computed for unknown addresses too, so that the time taken names no account.
    if not passwords.matches(password, user.password_hash if user else None) or user is None:
        raise Unauthenticated("the e-mail address or the password is wrong")
    token = secrets.token_urlsafe(32)
    with database.write() as connection:
        users.add_session(
            connection,
            token_hash=_hash(token),
            user_id=user.id,
            now=now,
            expires_at=now + SESSION_LIFE,
        )
    return token


def session_user(database: Database, token: str, *, now: datetime) -> SessionUser | None:
    """Return who has this session; None when there is none or it has expired."""
    with database.read() as connection:
        return users.session_user(connection, _hash(token), now=now)


def sign_out(database: Database, token: str) -> None:
    """End a session; an unknown one is no error."""
    with database.write() as connection:
        users.remove_session(connection, _hash(token))


def prune_sessions(database: Database, *, now: datetime) -> int:
    """Delete the sessions that have expired; return how many."""
    with database.write() as connection:
        return users.remove_expired_sessions(connection, now=now)


def _add(
    database: Database, email: str, password: str, *, role: str, now: datetime, first: bool
) -> None:
    email = email.strip().lower()
    if not _is_address(email):
        raise Invalid.one("email", "must be an e-mail address such as ada@example.com")
    password_hash = passwords.hashed(password)
    with database.write() as connection:
        # Also the lock under which two first accounts can't both be made.
        project_id = projects.make_first(connection, name=NAME, now=now)
        if first and users.count(connection) > 0:
            raise Conflict("there is an account already; sign in with it")
        if users.by_email(connection, email) is not None:
            raise Conflict(f"{email} has an account already")
        users.add(
            connection,
            email=email,
            password_hash=password_hash,
            project_id=project_id,
            role=role,
            now=now,
        )


def _is_address(email: str) -> bool:
    # What can't be stored can't even be looked for.
    if len(email) > 254 or not is_storable(email):
        return False
    return re.fullmatch(r"[^@\s]+@[^@\s]+", email) is not None


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()

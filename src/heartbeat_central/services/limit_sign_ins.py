"""Keeps passwords from being guessed, however many processes the tries are spread over."""

import hashlib
from datetime import datetime, timedelta

from heartbeat_central.domain.errors import HeartbeatCentralError
from heartbeat_central.storage import sign_in_tries as tries
from heartbeat_central.storage.engine import Database

MOST = 10
"""Sign-ins that one address may try for one account within WINDOW."""
WINDOW = timedelta(minutes=1)


class TooManyTries(HeartbeatCentralError):
    """Too many sign-ins were tried; wait a minute."""


def count_try(database: Database, email: str, address: str, *, now: datetime) -> None:
    """Count one try. Raises TooManyTries, and then the try doesn't count, and StorageUnavailable."""
    subject = hashlib.sha256(
        f"{email.strip().lower()}\n{address}".encode("utf-8", "replace")
    ).digest()
    with database.write() as connection:
        tries.lock(connection, subject)
        allowed = tries.count(connection, subject, since=now - WINDOW) < MOST
        if allowed:
            tries.add(connection, subject, now=now)
    if not allowed:
        raise TooManyTries("too many sign-ins were tried; wait a minute and try again")


def forget_tries(database: Database, *, now: datetime) -> int:
    """Delete the tries that count no more; return how many."""
    with database.write() as connection:
        return tries.remove_older(connection, now - WINDOW)

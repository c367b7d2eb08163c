"""Keys of the REST API. A key is shown once; what is stored is its SHA-256."""

import hashlib
import secrets
from datetime import datetime
from typing import Literal

from heartbeat_central.domain.errors import FieldError, Invalid
from heartbeat_central.domain.text import is_storable
from heartbeat_central.storage import api_keys
from heartbeat_central.storage.api_keys import ApiKey
from heartbeat_central.storage.engine import Database

Scope = Literal["read", "write"]

_PREFIX = "hbc_"
"""Lets secret scanners and people know a key when they see one."""


def create_api_key(
    database: Database, project_id: int, name: str, scope: Scope | str, *, now: datetime
) -> tuple[str, ApiKey]:
    """Return a new key, which is shown this once only, and what is stored of it. Raises Invalid."""
    errors = []
    if not 1 <= len(name.strip()) <= 200 or not is_storable(name):
        errors.append(FieldError("name", "must have 1 to 200 characters"))
    if scope not in ("read", "write"):
        errors.append(FieldError("scope", "must be `read` or `write`"))
    if errors:
        raise Invalid(errors)
    key = _PREFIX + secrets.token_urlsafe(32)
    with database.write() as connection:
        stored = api_keys.add(
            connection,
            project_id=project_id,
            name=name,
            scope=scope,
            prefix=key[: len(_PREFIX) + 6],
            key_hash=_hash(key),
            now=now,
        )
    return key, stored


def list_api_keys(database: Database, project_id: int) -> list[ApiKey]:
    """Return a project's keys, newest first, revoked ones too."""
    with database.read() as connection:
        return api_keys.of_project(connection, project_id)


def revoke_api_key(database: Database, project_id: int, key_id: int, *, now: datetime) -> None:
    """Make a key useless, at once. Raises NotFound."""
    with database.write() as connection:
        api_keys.revoke(connection, project_id, key_id, now=now)


def authenticate_key(database: Database, key: str) -> ApiKey | None:
    """Return what is stored of this key, None when it is unknown or revoked.

    Looking the hash up in an index leaks nothing of use: who times it learns about a hash only.
    """
    with database.read() as connection:
        return api_keys.by_hash(connection, _hash(key))


def _hash(key: str) -> bytes:
    # A key has 256 random bits: nothing slower than SHA-256 is needed.
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()

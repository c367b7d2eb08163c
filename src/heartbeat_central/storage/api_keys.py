"""API keys: their hashes, never the keys."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from heartbeat_central.domain.errors import NotFound
from heartbeat_central.storage.tables import api_keys


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A key of the REST API."""

    id: int
    project_id: int
    name: str
    scope: str
    """`read` or `write`; a write key may read too."""
    prefix: str
    """How the key begins, to know it again."""
    created_at: datetime
    revoked_at: datetime | None


def add(
    connection: Connection,
    *,
    project_id: int,
    name: str,
    scope: str,
    prefix: str,
    key_hash: bytes,
    now: datetime,
) -> ApiKey:
    """Store and return a new key."""
    row = connection.execute(
        insert(api_keys)
        .values(
            project_id=project_id,
            name=name,
            scope=scope,
            prefix=prefix,
            key_hash=key_hash,
            created_at=now,
        )
        .returning(api_keys)
    ).one()
    return _key(row)


def by_hash(connection: Connection, key_hash: bytes) -> ApiKey | None:
    """Return the key with this hash that is not revoked, None when there is none."""
    row = connection.execute(
        select(api_keys).where(api_keys.c.key_hash == key_hash, api_keys.c.revoked_at.is_(None))
    ).one_or_none()
    return None if row is None else _key(row)


def of_project(connection: Connection, project_id: int) -> list[ApiKey]:
    """Return a project's keys, newest first, revoked ones too."""
    query = select(api_keys).where(api_keys.c.project_id == project_id)
    return [_key(row) for row in connection.execute(query.order_by(api_keys.c.id.desc()))]


def revoke(connection: Connection, project_id: int, key_id: int, *, now: datetime) -> None:
    """Make a key useless. Raises NotFound."""
    revoked = connection.execute(
        update(api_keys)
        .where(
            api_keys.c.project_id == project_id,
            api_keys.c.id == key_id,
            api_keys.c.revoked_at.is_(None),
        )
        .values(revoked_at=now)
    )
    if revoked.rowcount == 0:
        raise NotFound("there is no such key, or it is revoked already")


def _key(row: Row[Any]) -> ApiKey:
    return ApiKey(
        id=row.id,
        project_id=row.project_id,
        name=row.name,
        scope=row.scope,
        prefix=row.prefix,
        created_at=row.created_at,
        revoked_at=row.revoked_at,
    )

"""API keys: found by hash until they are revoked."""

from datetime import timedelta

import pytest
from sqlalchemy import Connection

from heartbeat_central.domain.errors import NotFound
from heartbeat_central.storage import api_keys
from heartbeat_central.storage.api_keys import ApiKey
from tests.support import rows
from tests.support.rows import NOON, at

HASH = bytes(range(224, 256))


def add(
    connection: Connection, project_id: int, key_hash: bytes = HASH, name: str = "deploy"
) -> ApiKey:
    return api_keys.add(
        connection,
        project_id=project_id,
        name=name,
        scope="write",
        prefix="hc_w_0123456789a",
        key_hash=key_hash,
        now=NOON + timedelta(microseconds=1),
    )


@pytest.mark.parametrize("name", ["deploy", "🔥" * 200])
def test_a_key_is_stored_and_found_by_its_hash(
    connection: Connection, project_id: int, name: str
) -> None:
    key = add(connection, project_id, name=name)
    assert key == ApiKey(
        id=key.id,
        project_id=project_id,
        name=name,
        scope="write",
        prefix="hc_w_0123456789a",
        created_at=NOON + timedelta(microseconds=1),
        revoked_at=None,
    )
    assert api_keys.by_hash(connection, HASH) == key
    assert api_keys.by_hash(connection, HASH[::-1]) is None


def test_a_hash_belongs_to_one_key(connection: Connection, project_id: int) -> None:
    add(connection, project_id)
    with rows.refused(connection):
        add(connection, rows.project(connection))


def test_a_revoked_key_opens_nothing_and_stays_in_the_list(
    connection: Connection, project_id: int
) -> None:
    key = add(connection, project_id)
    api_keys.revoke(connection, project_id, key.id, now=at(5))
    assert api_keys.by_hash(connection, HASH) is None
    (listed,) = api_keys.of_project(connection, project_id)
    assert listed.revoked_at == at(5)


def test_a_key_is_revoked_once_and_by_its_own_project(
    connection: Connection, project_id: int
) -> None:
    key = add(connection, project_id)
    for whose, which in (
        (rows.project(connection), key.id),
        (project_id, key.id + 1),
        (project_id, rows.LARGEST),
    ):
        with pytest.raises(NotFound):
            api_keys.revoke(connection, whose, which, now=at(1))
    assert api_keys.by_hash(connection, HASH) == key
    api_keys.revoke(connection, project_id, key.id, now=at(2))
    with pytest.raises(NotFound, match="revoked already"):
        api_keys.revoke(connection, project_id, key.id, now=at(3))
    assert api_keys.of_project(connection, project_id)[0].revoked_at == at(2)


def test_a_project_sees_its_own_keys_newest_first(connection: Connection, project_id: int) -> None:
    mine = [add(connection, project_id, bytes([number]) * 32) for number in range(3)]
    add(connection, rows.project(connection))
    assert api_keys.of_project(connection, project_id) == mine[::-1]

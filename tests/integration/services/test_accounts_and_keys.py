"""Accounts, sessions and API keys."""

import pytest
from sqlalchemy import select

from heartbeat_central.domain.errors import Conflict, Invalid, NotFound, Unauthenticated
from heartbeat_central.services import manage_accounts as accounts
from heartbeat_central.services import manage_api_keys as keys
from heartbeat_central.services.setup_link import is_setup_token, setup_token, setup_url
from heartbeat_central.storage import tables
from tests.support.world import START, World, at

PASSWORD = "correct horse battery"
DAY = 24 * 3600


def test_the_first_account_is_made_once(world: World) -> None:
    assert accounts.count_users(world.database) == 0
    accounts.create_first_account(world.database, "Ada@Example.com", PASSWORD, now=START)
    with pytest.raises(Conflict, match="sign in"):
        accounts.create_first_account(world.database, "eve@example.com", PASSWORD, now=START)
    assert accounts.count_users(world.database) == 1


def test_signs_in_with_the_address_in_any_case(world: World) -> None:
    accounts.add_user(world.database, "ada@example.com", PASSWORD, now=START)
    token = accounts.sign_in(world.database, " ADA@example.com ", PASSWORD, now=START)
    user = accounts.session_user(world.database, token, now=at(1))
    assert user is not None
    assert (user.email, user.project_id) == ("ada@example.com", world.project_id)


@pytest.mark.parametrize(
    ("email", "password"),
    [("ada@example.com", "wrong password"), ("eve@example.com", PASSWORD), ("", "")],
)
def test_a_wrong_password_and_an_unknown_address_sound_alike(
    world: World, email: str, password: str
) -> None:
    accounts.add_user(world.database, "ada@example.com", PASSWORD, now=START)
    with pytest.raises(Unauthenticated, match="the e-mail address or the password is wrong"):
        accounts.sign_in(world.database, email, password, now=START)


def test_a_session_ends_by_signing_out_and_by_age(world: World) -> None:
    accounts.add_user(world.database, "ada@example.com", PASSWORD, now=START)
    first = accounts.sign_in(world.database, "ada@example.com", PASSWORD, now=START)
    second = accounts.sign_in(world.database, "ada@example.com", PASSWORD, now=START)
    accounts.sign_out(world.database, first)
    assert accounts.session_user(world.database, first, now=at(1)) is None
    assert accounts.session_user(world.database, second, now=at(29 * DAY)) is not None
    assert accounts.session_user(world.database, second, now=at(31 * DAY)) is None
    assert accounts.prune_sessions(world.database, now=at(31 * DAY)) == 1


def test_nothing_stored_opens_a_session(world: World) -> None:
    accounts.add_user(world.database, "ada@example.com", PASSWORD, now=START)
    token = accounts.sign_in(world.database, "ada@example.com", PASSWORD, now=START)
    with world.database.read() as connection:
        stored = connection.execute(select(tables.sessions.c.token_hash)).scalar_one()
    assert token.encode() not in stored
    assert accounts.session_user(world.database, stored.hex(), now=START) is None


@pytest.mark.parametrize(
    ("email", "password", "field"),
    [
        ("ada", PASSWORD, "email"),
        ("ada@exa mple.com", PASSWORD, "email"),
        ("ada\x00@example.com", PASSWORD, "email"),
        ("ada\ud800@example.com", PASSWORD, "email"),
        ("ada@example.com", "short", "password"),
        ("ada@example.com", "x" * 1001, "password"),
    ],
)
def test_refuses_bad_accounts_by_field(world: World, email: str, password: str, field: str) -> None:
    with pytest.raises(Invalid) as refused:
        accounts.add_user(world.database, email, password, now=START)
    assert [error.field for error in refused.value.errors] == [field]


def test_an_address_has_one_account(world: World) -> None:
    accounts.add_user(world.database, "ada@example.com", PASSWORD, now=START)
    with pytest.raises(Conflict, match="has an account already"):
        accounts.add_user(world.database, "ADA@example.com", PASSWORD, now=START)


def test_the_setup_link_follows_from_the_secret_key() -> None:
    assert setup_url("http://x", "key") == f"http://x/setup?token={setup_token('key')}"
    assert is_setup_token("key", setup_token("key"))
    assert not is_setup_token("key", setup_token("other key"))
    assert not is_setup_token("key", "\ud800")


def test_a_key_is_known_until_it_is_revoked(world: World) -> None:
    key, made = keys.create_api_key(world.database, world.project_id, "ci", "read", now=START)
    found = keys.authenticate_key(world.database, key)
    assert found is not None
    assert (found.id, found.scope, found.project_id) == (made.id, "read", world.project_id)
    assert key.startswith(made.prefix)
    keys.revoke_api_key(world.database, world.project_id, made.id, now=at(1))
    assert keys.authenticate_key(world.database, key) is None
    with pytest.raises(NotFound):
        keys.revoke_api_key(world.database, world.project_id, made.id, now=at(2))
    (listed,) = keys.list_api_keys(world.database, world.project_id)
    assert listed.revoked_at == at(1)


@pytest.mark.parametrize("name", [" ", "a\x00b", "a\ud800b", "x" * 201])
def test_refuses_a_key_without_a_proper_name_or_with_another_scope(world: World, name: str) -> None:
    with pytest.raises(Invalid) as refused:
        keys.create_api_key(world.database, world.project_id, name, "admin", now=START)
    assert [error.field for error in refused.value.errors] == ["name", "scope"]

"""A person and a program who may read: what the load generator sends with each request."""

from bench.data import now, project_of
from bench.running import ADMIN
from heartbeat_central.services.manage_accounts import sign_in
from heartbeat_central.services.manage_api_keys import create_api_key
from heartbeat_central.storage.engine import Database


def cookie(database: Database) -> str:
    """Return the header of a browser that is signed in; the service must have started once."""
    token = sign_in(database, ADMIN["ADMIN_EMAIL"], ADMIN["ADMIN_PASSWORD"], now=now())
    return f"Cookie: hbc_session={token}"


def bearer(database: Database) -> str:
    """Return the header of a program with an API key."""
    key, _ = create_api_key(database, project_of(database), "bench", "read", now=now())
    return f"Authorization: Bearer {key}"

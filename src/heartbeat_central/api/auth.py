"""API keys: `Authorization: Bearer KEY` or `X-Api-Key: KEY`."""

from typing import cast

from flask import g, request

from heartbeat_central.api.context import context
from heartbeat_central.domain.errors import Forbidden, Unauthenticated
from heartbeat_central.services.manage_api_keys import authenticate_key
from heartbeat_central.storage.api_keys import ApiKey

_READING = ("GET", "HEAD", "OPTIONS")


def require_key() -> None:
    """Remember the key of this request. Raises Unauthenticated, or Forbidden for its scope."""
    given = _given()
    if given is None:
        raise Unauthenticated("send an API key as `Authorization: Bearer KEY` or `X-Api-Key: KEY`")
    key = authenticate_key(context().database, given)
    if key is None:
        raise Unauthenticated("this API key is unknown or revoked")
    if request.method not in _READING and key.scope != "write":
        raise Forbidden("this API key may only read; use one with scope `write`")
    g.api_key = key


def project_id() -> int:
    """Return the project that the key of this request belongs to."""
    return cast("ApiKey", g.api_key).project_id


def _given() -> str | None:
    scheme, _, credentials = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and credentials.strip():
        return credentials.strip()
    return request.headers.get("X-Api-Key") or None

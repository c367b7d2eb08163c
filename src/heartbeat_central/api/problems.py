"""The one place where errors become answers: application/problem+json (RFC 9457)."""

from collections.abc import Sequence
from typing import Any

import structlog
from flask import Response, json
from werkzeug.exceptions import HTTPException
from werkzeug.http import HTTP_STATUS_CODES

from heartbeat_central.domain.errors import (
    Conflict,
    FieldError,
    Forbidden,
    Invalid,
    NotFound,
    StorageUnavailable,
    Unauthenticated,
)

log = structlog.get_logger(__name__)

RETRY_AFTER = 2
"""Seconds that a client should wait when the database is away."""

_STATUSES: dict[type[Exception], int] = {
    Unauthenticated: 401,
    Forbidden: 403,
    NotFound: 404,
    Conflict: 409,
    Invalid: 422,
    StorageUnavailable: 503,
}
_HEADERS: dict[int, dict[str, str]] = {
    401: {"WWW-Authenticate": 'Bearer realm="Heartbeat Central"'},
    503: {"Retry-After": str(RETRY_AFTER)},
}
_DETAILS = {
    404: "there is nothing at this address; /api/docs shows what there is",
    405: "this address takes {allow}",
    413: "the body is too large",
}


class BadRequest(Invalid):
    """What came is no JSON object, or a query parameter is wrong: 400, where Invalid is 422."""


_STATUSES[BadRequest] = 400


def answer(error: Exception) -> Response:
    """Return the problem that tells of `error`. What is no error of ours is logged, never shown."""
    if isinstance(error, HTTPException):
        return _http(error)
    status = _STATUSES.get(type(error))
    if status is None:
        log.error("request_failed", exc_info=error)
        return problem(500, "something failed here; the log tells what")
    if isinstance(error, StorageUnavailable):
        # Its own words name the database's address.
        log.warning("database_away", reason=str(error))
        return problem(status, "the database is away and nothing was changed; try again shortly")
    errors = error.errors if isinstance(error, Invalid) else ()
    return problem(status, str(error), errors=errors)


def problem(status: int, detail: str, *, errors: Sequence[FieldError] = ()) -> Response:
    """Return a problem. `errors` names every offending field."""
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTP_STATUS_CODES.get(status, "Error"),
        "status": status,
        "detail": detail,
    }
    if errors:
        body["errors"] = [{"field": one.field, "message": one.message} for one in errors]
    return Response(
        json.dumps(body),
        status,
        headers=_HEADERS.get(status),
        content_type="application/problem+json",
    )


def _http(error: HTTPException) -> Response:
    status = error.code or 500
    kept = {
        name: value
        for name, value in error.get_headers()
        if name.lower() in ("allow", "retry-after", "location")
    }
    detail = _DETAILS.get(status, error.description or "").format(allow=kept.get("Allow", "others"))
    response = problem(status, detail)
    response.headers.extend(kept)
    return response

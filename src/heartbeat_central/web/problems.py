"""The one place where errors become pages."""

from contextlib import suppress

import structlog
from flask import Response, g, make_response, render_template, request
from flask_wtf.csrf import CSRFError
from werkzeug.exceptions import HTTPException

from heartbeat_central.domain.errors import (
    Conflict,
    Forbidden,
    HeartbeatCentralError,
    Invalid,
    NotFound,
    StorageUnavailable,
)
from heartbeat_central.web.security import with_security_headers
from heartbeat_central.web.session import find_user
from heartbeat_central.web.words import sentence

log = structlog.get_logger(__name__)

RETRY_AFTER = 2
"""Seconds after which it is worth trying again when the database is away."""

_STATUSES: dict[type[Exception], int] = {
    Forbidden: 403,
    NotFound: 404,
    Conflict: 409,
    Invalid: 400,
    StorageUnavailable: 503,
}
_WORDS: dict[int, tuple[str, str]] = {
    400: ("That did not work", "The request could not be understood."),
    403: ("Not allowed", "You may not do this."),
    404: ("Nothing here", "This page does not exist. It may have been deleted."),
    405: ("That did not work", "This address takes no such request."),
    409: ("That did not work", "It contradicts what is stored."),
    413: ("Too large", "What was sent is larger than this service takes."),
    500: ("Something failed", "An error happened on our side. The log of the service says which."),
    503: (
        "The database is away",
        "Heartbeat Central can't reach its database right now. Nothing was changed; "
        "try again in a moment.",
    ),
}


def error_page(error: Exception) -> Response:
    """Return the page that tells of `error`. What is no error of ours is logged, never shown."""
    if isinstance(error, HTTPException) and (error.code is None or error.code < 400):
        # A redirect is no error.
        return make_response(error.get_response())
    status, detail = _told(error)
    title, usual = _WORDS.get(status, _WORDS[400 if status < 500 else 500])
    if "user" not in g:
        # Nobody's page may fail because it can't tell whose it is.
        with suppress(HeartbeatCentralError):
            find_user()
    response = make_response(
        render_template(
            "problem.html",
            status=status,
            title=title,
            detail=detail or usual,
            # A repeated GET changes nothing, so it may be offered.
            again=request.full_path.rstrip("?") if request.method == "GET" else None,
        ),
        status,
    )
    if status == 503:
        response.headers["Retry-After"] = str(RETRY_AFTER)
    if isinstance(error, HTTPException):
        for name, value in error.get_headers():
            if name.lower() in ("allow", "retry-after"):
                response.headers[name] = value
    return with_security_headers(response)


def _told(error: Exception) -> tuple[int, str | None]:
    """Return the status, and words for people where the usual ones would say less."""
    if isinstance(error, CSRFError):
        return 400, "This form is no longer valid. Go back, reload the page and send it again."
    if isinstance(error, HTTPException):
        return error.code or 500, None
    for kind, status in _STATUSES.items():
        if isinstance(error, kind):
            return status, sentence(str(error)) if status in (403, 409) else None
    log.error("page_failed", path=request.path, exc_info=error)
    return 500, None

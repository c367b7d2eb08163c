"""Forged forms are refused, and browsers are told to load and run nothing but our own files."""

from collections.abc import Callable

from flask import Flask, Response, request
from flask_wtf import CSRFProtect

# Bootstrap's style sheet draws some of its marks as data: images.
_POLICY = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_YEAR = 365 * 24 * 3600


def protect_from_forgery(app: Flask) -> Callable[[], None]:
    """Return the check to run before each request to a page.

    Not for the whole application: the REST API knows no cookies, so nothing of it can be forged.
    """
    app.config.update(
        WTF_CSRF_CHECK_DEFAULT=False,
        # As long as the browser's session: a form left open over lunch must still work.
        WTF_CSRF_TIME_LIMIT=None,
        # The token is the protection. Behind a proxy that renames the host the Referer never fits.
        WTF_CSRF_SSL_STRICT=False,
    )
    protection = CSRFProtect(app)

    def check() -> None:
        if request.method not in ("GET", "HEAD", "OPTIONS"):
            protection.protect()

    return check


def with_security_headers(response: Response) -> Response:
    """Return the response with its headers."""
    response.headers.setdefault("Content-Security-Policy", _POLICY)
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    # The set-up link's token must not leave in a Referer.
    response.headers.setdefault("Referrer-Policy", "same-origin")
    if request.endpoint != "web.static":
        response.headers["Cache-Control"] = "no-store"
    elif "v" in request.args and response.status_code < 400:
        # The address changes with the content.
        response.headers["Cache-Control"] = f"public, max-age={_YEAR}, immutable"
    return response

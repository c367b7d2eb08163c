"""Who is signed in: an opaque cookie, checked against the database on every request."""

from datetime import timedelta
from urllib.parse import quote, urlsplit

from flask import Response, g, redirect, request, url_for
from flask.typing import ResponseReturnValue

from heartbeat_central.services.manage_accounts import (
    SESSION_LIFE,
    count_users,
    session_user,
)
from heartbeat_central.storage.users import SessionUser
from heartbeat_central.web.context import context

SESSION_COOKIE = "hbc_session"


def require_sign_in() -> ResponseReturnValue | None:
    """Let a signed-in person pass and remember who it is; send anybody else to sign in."""
    if find_user() is not None:
        return None
    if request.method not in ("GET", "HEAD"):
        target = url_for("web.accounts.sign_in")
    elif "HX-Request" in request.headers:
        # The page that asked for a fragment of itself is what they want to come back to.
        target = _sign_in_url(_path_of(request.headers.get("HX-Current-URL", "/")))
    else:
        target = _sign_in_url(request.full_path.rstrip("?"))
    if count_users(context().database) == 0:
        target = url_for("web.accounts.setup")
    if "HX-Request" in request.headers:
        return Response(status=401, headers={"HX-Redirect": target})
    return redirect(target, 303)


def find_user() -> SessionUser | None:
    """Return who sent this request, None when nobody is signed in. Raises StorageUnavailable."""
    token = request.cookies.get(SESSION_COOKIE)
    g.user = None
    if token:
        g.user = session_user(context().database, token, now=context().clock())
    return user_or_none()


def user_or_none() -> SessionUser | None:
    """Return who was found to be signed in, without asking the database again."""
    found: SessionUser | None = g.get("user")
    return found


def project_id() -> int:
    """Return the project whose pages are shown; only behind `require_sign_in`."""
    user = user_or_none()
    assert user is not None
    return user.project_id


def start_session(response: Response, token: str) -> Response:
    """Give the browser its session."""
    response.set_cookie(
        SESSION_COOKIE,
        token,
        max_age=SESSION_LIFE - timedelta(minutes=1),
        httponly=True,
        samesite="Lax",
        secure=context().is_https,
    )
    return response


def end_session(response: Response) -> Response:
    """Take the browser's session away."""
    response.delete_cookie(SESSION_COOKIE, httponly=True, samesite="Lax", secure=context().is_https)
    return response


def safe_path(target: str | None) -> str:
    """Return `target` when it is a path of this site, else the dashboard's: no open redirects."""
    # Browsers read `\\` as `/`, so `/\\evil.example` would lead away as `//evil.example` does.
    if not target or not target.startswith("/") or target.startswith(("//", "/\\")):
        return "/"
    if any(char < " " for char in target):
        return "/"
    return target


def _sign_in_url(wanted: str) -> str:
    plain = url_for("web.accounts.sign_in")
    return plain if wanted == "/" else f"{plain}?next={quote(wanted, safe='')}"


def _path_of(url: str) -> str:
    parts = urlsplit(url)
    return safe_path(parts.path + (f"?{parts.query}" if parts.query else ""))

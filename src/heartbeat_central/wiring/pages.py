"""The pages and the REST API behind the edge."""

from collections.abc import Callable
from functools import partial
from typing import Any, cast

from a2wsgi import WSGIMiddleware
from flask import Flask, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException

from heartbeat_central.api import answer as problem
from heartbeat_central.api import is_api_path, register_api
from heartbeat_central.api.context import ApiContext
from heartbeat_central.ingest.live import LiveUpdates
from heartbeat_central.ingest.responses import AsgiApp, Receive, Scope, Send
from heartbeat_central.ingest.whole_requests import WholeRequests
from heartbeat_central.services.deliver_alerts import Sender
from heartbeat_central.services.fingerprint import fingerprint
from heartbeat_central.services.list_applications import StatusCounts
from heartbeat_central.services.manage_accounts import session_user
from heartbeat_central.storage.engine import Database
from heartbeat_central.web import SESSION_COOKIE, error_page, register_web
from heartbeat_central.web.context import WebContext
from heartbeat_central.wiring.parts import Parts, clock

RENDER_THREADS = 2
"""Threads for pages and the REST API; few, because they share the interpreter with the edge."""
WAITING_THREADS = 8
"""Threads for requests that mostly wait for others: they cost the edge next to nothing."""
LARGEST_REQUEST = 2 * 1024 * 1024
"""Bytes that a page or the REST API accepts."""


def build_live(parts: Parts) -> LiveUpdates:
    """Return what tells open pages that something has changed, whichever process changed it."""
    return LiveUpdates(
        cookie_name=SESSION_COOKIE,
        project_of=partial(_project_of, parts.database),
        fingerprint=partial(fingerprint, parts.database),
    )


def build_pages(parts: Parts, sender: Sender, doorbell: Callable[[], None]) -> AsgiApp:
    """Return the pages and the API. `doorbell` is rung when the monitor may have something to do."""
    # The two libraries spell the types of WSGI and ASGI in ways that no checker can match.
    app = cast("Any", flask_app(parts, sender, doorbell))
    rendering = cast("AsgiApp", WSGIMiddleware(app, workers=RENDER_THREADS))
    waiting = cast("AsgiApp", WSGIMiddleware(app, workers=WAITING_THREADS))

    async def by_patience(scope: Scope, receive: Receive, send: Send) -> None:
        await (waiting if _waits_for_others(scope) else rendering)(scope, receive, send)

    return WholeRequests(by_patience, largest=LARGEST_REQUEST)


def _waits_for_others(scope: Scope) -> bool:
    """Whether this asks to test a channel, which takes as long as its receiver does."""
    path: str = scope["path"]
    return scope["method"] == "POST" and path.rstrip("/").endswith("/test")


def flask_app(parts: Parts, sender: Sender, doorbell: Callable[[], None]) -> Flask:
    """Return the pages and the API as Flask has them."""
    app = Flask("heartbeat_central", static_folder=None)
    app.config.update(SECRET_KEY=parts.secret_key, MAX_CONTENT_LENGTH=LARGEST_REQUEST)
    base_url = parts.settings.base_url
    register_api(app, ApiContext(sender=sender, base_url=base_url, clock=clock, doorbell=doorbell))
    register_web(
        app,
        WebContext(
            sender=sender,
            base_url=base_url,
            secret_key=parts.secret_key,
            clock=clock,
            status_counts=StatusCounts(parts.database),
            doorbell=doorbell,
        ),
    )

    @app.errorhandler(HTTPException)
    def unmatched(error: HTTPException) -> ResponseReturnValue:
        # What no blueprint took: told as a problem to programs and as a page to people.
        return problem(error) if is_api_path(request.path) else error_page(error)

    return app


def _project_of(database: Database, token: str) -> int | None:
    user = session_user(database, token, now=clock())
    return None if user is None else user.project_id

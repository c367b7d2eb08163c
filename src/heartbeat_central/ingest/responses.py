"""Whole answers of the edge's own: plain ones, and problems (RFC 9457)."""

import json
from collections.abc import Awaitable, Callable, MutableMapping
from http import HTTPStatus
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]
Header = tuple[bytes, bytes]

NO_STORE: Header = (b"cache-control", b"no-store")


async def respond(
    scope: Scope, send: Send, status: int, body: bytes, content_type: bytes, *headers: Header
) -> None:
    """Send a whole answer, without its body when the request was HEAD."""
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [
                (b"content-length", str(len(body)).encode()),
                (b"content-type", content_type),
                NO_STORE,
                *headers,
            ],
        }
    )
    empty = scope["method"] == "HEAD"
    await send({"type": "http.response.body", "body": b"" if empty else body})


async def respond_with_problem(
    scope: Scope, send: Send, status: int, detail: str, *headers: Header
) -> None:
    """Send an error in the one form that errors have."""
    problem = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
    }
    body = json.dumps(problem).encode()
    await respond(scope, send, status, body, b"application/problem+json", *headers)

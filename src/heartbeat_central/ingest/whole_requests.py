"""Takes in a request to its end before a thread works on it."""

from heartbeat_central.ingest.responses import AsgiApp, Message, Receive, Scope, Send


class WholeRequests:
    """Hands requests on with their whole body. Who sends slowly keeps nobody waiting but itself.

    Threads are few, and one that waits for a body could do nothing else meanwhile. The length is told
    also of a body that came in chunks, without which WSGI would take it for empty. Of one that has more
    than `largest` bytes nothing but its length is handed on, for the application to refuse.
    """

    def __init__(self, app: AsgiApp, *, largest: int) -> None:
        self._app = app
        self._largest = largest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = bytearray()
        length = _told(scope)
        more = length <= self._largest
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            more = message.get("more_body", False) and len(body) <= self._largest
        length = max(length, len(body))
        taken: list[Message] = [
            {
                "type": "http.request",
                "body": bytes(body) if length <= self._largest else b"",
                "more_body": False,
            }
        ]

        async def again() -> Message:
            return taken.pop() if taken else await receive()

        await self._app({**scope, "headers": _with_length(scope, length)}, again, send)


def _told(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length":
            # The server has refused what is no number.
            return int(value)
    return 0


def _with_length(scope: Scope, length: int) -> list[tuple[bytes, bytes]]:
    sizes = (b"content-length", b"transfer-encoding")
    headers = [(name, value) for name, value in scope["headers"] if name not in sizes]
    return [*headers, (b"content-length", str(length).encode())]

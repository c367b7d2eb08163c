"""A local web server that stands for whatever you would have alerts sent to."""

import json
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

LARGEST_BODY = 1_048_576


class AlertReceiver:
    """Takes webhooks on a free port of 127.0.0.1 and hands each body to `show`, one at a time.

    Use as a context manager.
    """

    def __init__(self, show: Callable[[Mapping[str, Any]], None]) -> None:
        lock = threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = min(int(self.headers.get("Content-Length") or 0), LARGEST_BODY)
                body = self.rfile.read(length)
                self.send_response(204)
                self.end_headers()
                try:
                    alert = json.loads(body)
                except ValueError:
                    return
                if isinstance(alert, dict):
                    with lock:
                        show(alert)

            def log_message(self, *_: object) -> None:
                """Say nothing: the alerts are what is worth reading."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/alerts"

    def __enter__(self) -> "AlertReceiver":
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

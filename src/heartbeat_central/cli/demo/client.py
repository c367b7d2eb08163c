"""The few requests that the demo makes, with the standard library, as any script could."""

import json
import urllib.error
import urllib.request
from typing import Any

from heartbeat_central.cli.failures import CommandFailed

TIMEOUT = 10.0
"""Seconds for one request to the service on this machine."""

# A proxy in the environment is for other people's servers, never for 127.0.0.1.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class ApiClient:
    """Speaks with the REST API of one service."""

    def __init__(self, base_url: str, key: str) -> None:
        self._base_url = base_url
        self._key = key

    def post(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """Return the answer to a POST, None when it has no body. Raises CommandFailed."""
        request = urllib.request.Request(  # noqa: S310 - http, built from our own address
            self._base_url + path,
            data=json.dumps(body or {}).encode(),
            headers={"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"},
            method="POST",
        )
        try:
            with _opener.open(request, timeout=TIMEOUT) as answer:
                content = answer.read()
        except urllib.error.HTTPError as error:
            said = error.read(2000).decode(errors="replace")
            raise CommandFailed(f"POST {path} was answered with {error.code}: {said}") from error
        except OSError as error:
            raise CommandFailed(f"POST {path} failed: {error}") from error
        return json.loads(content) if content else None


def heartbeat(url: str, body: str = "") -> bool:
    """Send one signal and return whether it was taken."""
    request = urllib.request.Request(  # noqa: S310 - http, an address of our own service
        url, data=body.encode(), method="POST", headers={"Content-Type": "text/plain"}
    )
    try:
        with _opener.open(request, timeout=TIMEOUT) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def is_ready(base_url: str) -> bool:
    """Return whether the service says that it is ready."""
    try:
        with _opener.open(f"{base_url}/health", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False

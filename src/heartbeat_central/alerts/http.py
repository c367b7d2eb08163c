"""The one HTTP client of the alert plugins.

Guarded against private addresses, one deadline for the whole exchange, responses read up to a cap,
redirects not followed, environment proxies not used, connections kept for the next alert.
"""

import http.client
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import urllib3.exceptions
from urllib3.connection import HTTPConnection
from urllib3.response import BaseHTTPResponse

from heartbeat_central import __version__
from heartbeat_central.alerts.connections import (
    Connection,
    IdleConnections,
    PlainConnection,
    TlsConnection,
)
from heartbeat_central.alerts.sockets import Deadline, tls_context
from heartbeat_central.alerts.targets import Resolver, Targets, system_resolver
from heartbeat_central.alerts.urls import HttpUrl, Origin, parse_http_url
from heartbeat_central.domain.errors import PermanentFailure, TemporaryFailure

READ_CAP = 64 * 1024
"""Bytes of a response body that are read; with more to come the connection is closed."""
_HEADERS = {
    "User-Agent": f"Heartbeat-Central/{__version__}",
    "Accept-Encoding": "identity",
}
_GONE = (http.client.RemoteDisconnected, ConnectionError, ssl.SSLEOFError)
"""How a connection shows that its other end has closed it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    """What is sent, complete but for Host, Content-Length and User-Agent."""

    method: str = "POST"
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpResponse:
    """What came back. `body` is cut at READ_CAP, and empty when it broke off or came too slowly."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes


class HttpClient:
    """Sends requests; one instance for all threads."""

    def __init__(
        self,
        *,
        allow_private: bool,
        timeout: float = 10.0,
        resolver: Resolver = system_resolver,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        """Make a client; `ssl_context` comes from `sockets.tls_context`."""
        self.targets = Targets(allow_private=allow_private, resolver=resolver)
        self._timeout = timeout
        self._given_context = ssl_context
        self._idle = IdleConnections()

    def send(self, request: HttpRequest, *, timeout: float | None = None) -> HttpResponse:
        """Return the response, whatever its status, within `timeout` seconds (default: the client's).

        Raises PermanentFailure when the URL, a header or the target is not allowed; TemporaryFailure
        when the receiver could not be reached or its answer not be understood. A receiver that sent
        a status but not its whole body in time has answered: its status counts.
        """
        try:
            url = parse_http_url(request.url)
        except ValueError as error:
            raise PermanentFailure(f"the URL {error}") from None
        deadline = Deadline(timeout or self._timeout)
        try:
            return self._send(request, url, deadline)
        except TimeoutError as error:
            raise TemporaryFailure(
                f"{url.origin} did not answer within {deadline.seconds:g} s"
            ) from error
        except ssl.SSLError as error:
            raise TemporaryFailure(f"no TLS with {url.origin}: {_tls_reason(error)}") from error
        except (OSError, http.client.HTTPException, urllib3.exceptions.HTTPError) as error:
            raise TemporaryFailure(_network_reason(url.origin, error)) from error
        except ValueError as error:
            # A header or method that HTTP can't carry; http.client names it, so its words stay here.
            raise PermanentFailure("the request holds a header that HTTP can't carry") from error

    def close(self) -> None:
        """Close the connections that wait for reuse. The client may be used again after that."""
        self._idle.close()

    def _send(self, request: HttpRequest, url: HttpUrl, deadline: Deadline) -> HttpResponse:
        kept = self._idle.take(url.origin)
        if kept is not None:
            try:
                return self._exchange(kept, request, url, deadline)
            except _GONE:
                # Closed by the receiver while it lay idle, before a byte of the response came.
                deadline.left()
        return self._exchange(self._open(url.origin, deadline), request, url, deadline)

    def _exchange(
        self, connection: Connection, request: HttpRequest, url: HttpUrl, deadline: Deadline
    ) -> HttpResponse:
        keep = False
        try:
            connection.use(deadline)
            response = _ask(connection, request, url.target)
            body = _read(response)
            keep = body is not None and response.closed and not connection.is_closed
            headers = {name.lower(): value for name, value in response.headers.items()}
            response.close()
            return HttpResponse(status=response.status, headers=headers, body=body or b"")
        finally:
            if keep:
                self._idle.put(url.origin, connection)
            else:
                connection.close()

    def _open(self, origin: Origin, deadline: Deadline) -> Connection:
        addresses = self.targets.addresses(origin.host, deadline)
        connection: Connection
        if origin.scheme == "https":
            connection = TlsConnection(origin, addresses, deadline, self._context)
        else:
            connection = PlainConnection(origin, addresses, deadline)
        try:
            connection.connect()
        except BaseException:
            connection.close()
            raise
        return connection

    @cached_property
    def _context(self) -> ssl.SSLContext:
        return self._given_context or tls_context()


def _ask(connection: HTTPConnection, request: HttpRequest, target: str) -> BaseHTTPResponse:
    cut_short: OSError | None = None
    try:
        connection.request(
            request.method,
            target,
            body=request.body or None,
            headers={**_HEADERS, **request.headers},
            preload_content=False,
            decode_content=False,
        )
    except (BrokenPipeError, ConnectionResetError) as error:
        # It may have answered and closed before it had read all, as with 413.
        cut_short = error
    try:
        return connection.getresponse()
    except Exception:
        if cut_short is not None:
            raise cut_short from None
        raise


def _read(response: BaseHTTPResponse) -> bytes | None:
    """Return the body up to the cap, None when it broke off: the status has been given all the same."""
    try:
        return response.read(READ_CAP + 1, decode_content=False)[:READ_CAP]
    except (OSError, http.client.HTTPException, urllib3.exceptions.HTTPError):
        return None


def _tls_reason(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate was not accepted ({error.verify_message})"
    return (error.reason or "the handshake failed").replace("_", " ").lower()


def _network_reason(origin: Origin, error: Exception) -> str:
    if isinstance(error, http.client.RemoteDisconnected):
        return f"{origin} closed the connection without an answer"
    if isinstance(error, OSError):
        return f"no connection to {origin}: {error.strerror or type(error).__name__}"
    return f"{origin} answered with something that is not HTTP"

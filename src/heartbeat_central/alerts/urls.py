"""Reading the http(s) URLs that people enter."""

import re
from dataclasses import dataclass

from urllib3.exceptions import LocationParseError
from urllib3.util import parse_url

_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a connection goes; connections are shared within one origin."""

    scheme: str
    host: str
    """As in a certificate: no brackets around an IPv6 address."""
    port: int

    def __str__(self) -> str:
        """Return what error messages may show: never the path, it may hold a token."""
        usual = self.port == _PORTS[self.scheme]
        return self.host if usual else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class HttpUrl:
    """A parsed URL."""

    origin: Origin
    target: str
    """Path and query, percent-encoded, as the request line has it."""


def parse_http_url(url: str) -> HttpUrl:
    """Return the parts of an http or https URL. Raises ValueError with a sentence that says why not."""
    if re.search(r"[\x00-\x20\x7f\\]", url):
        raise ValueError("must not contain spaces, backslashes or control characters")
    try:
        parts = parse_url(url)
    except (LocationParseError, ValueError):
        raise ValueError("is not a URL like https://example.com/path") from None
    scheme = (parts.scheme or "").lower()
    if scheme not in _PORTS:
        raise ValueError("must begin with https:// or http://")
    if parts.auth is not None:
        raise ValueError("must not contain a user name or password; send them in a header")
    host = (parts.host or "").strip("[]").rstrip(".")
    if not host or "%" in host:
        raise ValueError("must name a host, like https://example.com/path")
    if parts.port == 0:
        raise ValueError("must have a port from 1 to 65535")
    origin = Origin(scheme, host, parts.port or _PORTS[scheme])
    return HttpUrl(origin, parts.request_uri)

"""Whose address a request has, behind proxies or not."""

from ipaddress import ip_network

import pytest

from heartbeat_central.ingest.clients import ClientAddress


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("203.0.113.9", None, "203.0.113.9"),
        # A stranger may claim anything.
        ("203.0.113.9", "198.51.100.1", "203.0.113.9"),
        ("10.0.0.1", "198.51.100.1", "198.51.100.1"),
        # Only what stands right of the first untrusted hop was written by our proxies.
        ("10.0.0.1", "1.1.1.1, 198.51.100.1, 10.0.0.2", "198.51.100.1"),
        ("10.0.0.1", "10.0.0.3", "10.0.0.3"),
        ("10.0.0.1", None, "10.0.0.1"),
        ("10.0.0.1", "unknown", "unknown"),
        (None, None, None),
    ],
)
def test_believes_trusted_proxies_only(
    peer: str | None, forwarded: str | None, address: str | None
) -> None:
    headers = [] if forwarded is None else [(b"x-forwarded-for", forwarded.encode())]
    scope = {"client": (peer, 1234) if peer else None, "headers": headers}
    assert ClientAddress([ip_network("10.0.0.0/8")])(scope) == address


@pytest.mark.parametrize(
    ("peer", "forwarded", "scheme"),
    [
        ("10.0.0.1", "https", "https"),
        ("10.0.0.1", None, "http"),
        ("10.0.0.1", "gopher", "http"),
        # A stranger may claim anything.
        ("203.0.113.9", "https", "http"),
        (None, "https", "http"),
    ],
)
def test_believes_them_how_the_request_came_in(
    peer: str | None, forwarded: str | None, scheme: str
) -> None:
    headers = [] if forwarded is None else [(b"x-forwarded-proto", forwarded.encode())]
    scope = {"client": peer and (peer, 1234), "scheme": "http", "headers": headers}
    assert ClientAddress([ip_network("10.0.0.0/8")]).scheme(scope) == scheme

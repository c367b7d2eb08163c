"""Who called: the peer's address, or what a trusted proxy says of it."""

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Any

Network = IPv4Network | IPv6Network


class ClientAddress:
    """Reads X-Forwarded-For only when the peer itself is a trusted proxy.

    The last address that no trusted proxy has is the client's: everything before it may be made up.
    """

    def __init__(self, trusted: Sequence[Network]) -> None:
        self._trusted = tuple(trusted)

    def __call__(self, scope: Any) -> str | None:
        client = scope.get("client")
        address: str | None = client[0] if client else None
        if not self._trusted or address is None or not self._is_trusted(address):
            return address
        for name, value in scope["headers"]:
            if name == b"x-forwarded-for":
                for hop in reversed(value.decode("latin-1").split(",")):
                    address = hop.strip()[:64]
                    if not self._is_trusted(address):
                        return address
        return address

    def _is_trusted(self, address: str) -> bool:
        try:
            parsed = ip_address(address)
        except ValueError:
            return False
        return any(parsed in network for network in self._trusted)

"""Who called and how: as the peer itself shows, or as a trusted proxy says."""

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address

from heartbeat_central.ingest.responses import Scope

Network = IPv4Network | IPv6Network


class ClientAddress:
    """Reads X-Forwarded-For only when the peer itself is a trusted proxy.

    The last address that no trusted proxy has is the client's: everything before it may be made up.
    """

    def __init__(self, trusted: Sequence[Network]) -> None:
        self._trusted = tuple(trusted)

    def __call__(self, scope: Scope) -> str | None:
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

    def scheme(self, scope: Scope) -> str:
        """Return `http` or `https`, as the client's request came in at the outermost trusted proxy."""
        client = scope.get("client")
        if self._trusted and client is not None and self._is_trusted(client[0]):
            for name, value in scope["headers"]:
                if name == b"x-forwarded-proto" and value in (b"http", b"https"):
                    return str(value.decode("ascii"))
        given: str = scope["scheme"]
        return given

    def _is_trusted(self, address: str) -> bool:
        try:
            parsed = ip_address(address)
        except ValueError:
            return False
        return any(parsed in network for network in self._trusted)

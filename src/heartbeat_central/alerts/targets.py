"""Which addresses a channel may reach.

People enter URLs and host names; without a guard the service would fetch cloud metadata or poke at
the local network for them (server-side request forgery). The name is resolved once, every address
is checked, and the connection goes to a checked address: a second resolution could answer
differently (DNS rebinding).
"""

import ipaddress
import queue
import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress

from heartbeat_central.alerts.sockets import Deadline
from heartbeat_central.domain.errors import PermanentFailure, TemporaryFailure

SETTING = "HEARTBEAT_ALLOW_PRIVATE_TARGETS"

Resolver = Callable[[str], Sequence[str]]
"""Returns the IP addresses of a host name; raises OSError when it has none."""

# `ipaddress.is_private` and `is_global` both let some of these through. Sources: the IANA IPv4 and
# IPv6 special-purpose address registries, RFC 6890.
_BLOCKED_V4 = tuple(
    ipaddress.IPv4Network(network)
    for network in (
        "0.0.0.0/8",  # this network, the unspecified address
        "10.0.0.0/8",
        "100.64.0.0/10",  # carrier-grade NAT; some clouds put their metadata there
        "127.0.0.0/8",
        "169.254.0.0/16",  # link-local, cloud metadata
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
    )
)
# Global unicast is 2000::/3. All else is blocked with it: loopback, IPv4-mapped, NAT64 (64:ff9b::/96),
# unique local, link-local, the old site-local fec0::/10, multicast.
_GLOBAL_V6 = ipaddress.IPv6Network("2000::/3")
_BLOCKED_V6 = tuple(
    ipaddress.IPv6Network(network)
    for network in (
        "2001::/23",  # IETF protocols, Teredo among them, which carries an IPv4 address
        "2001:db8::/32",
        "2002::/16",  # 6to4 carries an IPv4 address
        "3fff::/20",
    )
)


def is_blocked(address: str) -> bool:
    """Return whether `address` (an IP address, perhaps with a zone) is not on the public internet."""
    parsed = ipaddress.ip_address(address)
    if isinstance(parsed, ipaddress.IPv4Address):
        return any(parsed in network for network in _BLOCKED_V4)
    if parsed.scope_id is not None or parsed not in _GLOBAL_V6:
        return True
    return any(parsed in network for network in _BLOCKED_V6)


def system_resolver(host: str) -> Sequence[str]:
    """Return what the operating system says; it also reads 0x7f.1 and 2130706433 as addresses."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class Targets:
    """Resolves names for the senders, and refuses private addresses unless they are allowed."""

    MOST_LOOKUPS = 256
    """At a time: threads that wait for a name server that does not answer."""

    def __init__(self, *, allow_private: bool, resolver: Resolver = system_resolver) -> None:
        self.allow_private = allow_private
        self._resolver = resolver
        self._lookups = threading.BoundedSemaphore(self.MOST_LOOKUPS)

    def addresses(self, host: str, deadline: Deadline) -> Sequence[str]:
        """Return the addresses that may be connected to, at least one.

        Raises PermanentFailure when `host` is no host name or any of its addresses is private;
        TemporaryFailure when it does not resolve in time, for it may later.
        """
        addresses = self._resolve(host, deadline)
        if not self.allow_private and any(is_blocked(address) for address in addresses):
            raise PermanentFailure(
                f"{host} is a private address, which channels may not reach; "
                f"the operator can allow it with {SETTING}=true"
            )
        return addresses

    def _resolve(self, host: str, deadline: Deadline) -> Sequence[str]:
        with suppress(ValueError):
            return [str(ipaddress.ip_address(host))]
        try:
            addresses = self._look_up(host, deadline)
        except TimeoutError as error:
            raise TemporaryFailure(f"looking up {host} took too long") from error
        except UnicodeError as error:
            raise PermanentFailure(f"{host} is not a host name") from error
        except OSError as error:
            raise TemporaryFailure(f"{host} could not be resolved") from error
        if not addresses:
            raise TemporaryFailure(f"{host} could not be resolved")
        return addresses

    def _look_up(self, host: str, deadline: Deadline) -> Sequence[str]:
        """Resolve in a thread of its own: getaddrinfo takes no timeout.

        A daemon thread, not a pool: names that hang must delay neither other names nor the exit.
        """
        if not self._lookups.acquire(timeout=deadline.left()):
            raise TimeoutError
        answer: queue.SimpleQueue[Sequence[str] | Exception] = queue.SimpleQueue()

        def look_up() -> None:
            try:
                answer.put(self._resolver(host))
            except Exception as error:
                answer.put(error)
            finally:
                self._lookups.release()

        threading.Thread(target=look_up, name="look-up", daemon=True).start()
        try:
            found = answer.get(timeout=deadline.left())
        except queue.Empty:
            raise TimeoutError from None
        if isinstance(found, Exception):
            raise found
        return found

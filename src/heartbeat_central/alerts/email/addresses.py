"""E-mail addresses and mail servers as people enter them."""

import re
from dataclasses import dataclass
from email.utils import parseaddr

MOST_RECIPIENTS = 50
FALLBACK_SENDER = "heartbeat-central@localhost"

# The shape that browsers check for (HTML Living Standard, "valid e-mail address"), so that the form
# and the API agree. It leaves no room for line breaks, quotes or a second address.
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_ADDRESS = re.compile(rf"[A-Za-z0-9.!#$%&'*+/=?^_`{{|}}~-]{{1,64}}@{_LABEL}(?:\.{_LABEL})*")
_SERVER = re.compile(
    rf"(?:(?P<scheme>smtps?)://)?(?P<host>{_LABEL}(?:\.{_LABEL})*\.?|\[[0-9A-Fa-f:.]+\]|[0-9A-Fa-f:]+)"
)


@dataclass(frozen=True, slots=True)
class Server:
    """A mail server by name."""

    host: str
    implicit_tls: bool
    """Written as `smtps://host`: TLS from the first byte, whatever the port."""


def recipients(to_email: str) -> list[str]:
    """Return the addresses of a list separated by commas, each once. Raises ValueError on a bad one."""
    addresses = list(dict.fromkeys(part.strip() for part in to_email.split(",") if part.strip()))
    if not 1 <= len(addresses) <= MOST_RECIPIENTS:
        raise ValueError(f"must hold 1 to {MOST_RECIPIENTS} addresses, separated by commas")
    for address in addresses:
        if not is_address(address):
            raise ValueError(f"must hold addresses like `ops@example.com`; `{address}` is none")
    return addresses


def is_address(text: str) -> bool:
    """Return whether `text` has the shape of an address, in ASCII."""
    return len(text) <= 254 and _ADDRESS.fullmatch(text) is not None


def parse_server(text: str) -> Server:
    """Return the server that `mail.example.com` or `smtps://mail.example.com` names, else ValueError."""
    match = _SERVER.fullmatch(text)
    if match is None:
        raise ValueError("must be a host name like `smtp.example.com`")
    return Server(match["host"].strip("[]").rstrip("."), match["scheme"] == "smtps")


def sender_of(*candidates: str | None) -> tuple[str, str]:
    """Return name and address of the first candidate that is an address, `Name <address>` included.

    One that holds a line break is none: another address could stand on the next line.
    """
    for candidate in candidates:
        if candidate is None or not candidate.isprintable():
            continue
        name, address = parseaddr(candidate)
        if is_address(address):
            return name or "Heartbeat Central", address
    return "Heartbeat Central", FALLBACK_SENDER

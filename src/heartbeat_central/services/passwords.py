"""Password hashes: argon2id, with little memory and few at once, for small machines."""

import threading

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from heartbeat_central.domain.errors import Invalid

SHORTEST = 8
LONGEST = 1_000

# OWASP Password Storage Cheat Sheet: argon2id with 19 MiB, 2 passes and 1 lane.
_hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
_at_once = threading.BoundedSemaphore(2)
_of_nobody = _hasher.hash("the password of an account that does not exist")


def check_rules(password: str) -> None:
    """Raise Invalid on `password` when it is too short or too long to be one."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise Invalid.one("password", f"must have {SHORTEST} to {LONGEST} characters")


def hashed(password: str) -> str:
    """Return the hash to store. Raises Invalid on `password`."""
    check_rules(password)
    with _at_once:
        return _hasher.hash(password.encode("utf-8", "surrogatepass"))


def matches(password: str, stored: str | None) -> bool:
    """Return whether `password` has this hash. Takes as long when there is no account."""
    try:
        with _at_once:
            _hasher.verify(stored or _of_nobody, password.encode("utf-8", "surrogatepass"))
    except (VerificationError, InvalidHashError):
        return False
    return stored is not None

"""Errors that callers can act on. Each says what is wrong and how to mend it.

They are mapped to HTTP in one place (api/problems.py, web/problems.py) and to exit statuses in the CLI.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta


class HeartbeatCentralError(Exception):
    """Base of every error this service raises on purpose."""


@dataclass(frozen=True, slots=True)
class FieldError:
    """One offending field of an input."""

    field: str
    """Name as the caller wrote it, e.g. `expected_interval` or `config.webhook_url`."""
    message: str
    """What is wrong and what would be right, as one sentence."""


class Invalid(HeartbeatCentralError):
    """The input breaks a rule; `errors` names every offending field."""

    def __init__(self, errors: Iterable[FieldError]) -> None:
        self.errors: Sequence[FieldError] = tuple(errors)
        super().__init__("; ".join(f"{error.field}: {error.message}" for error in self.errors))

    @classmethod
    def one(cls, field: str, message: str) -> "Invalid":
        """Return the error for a single offending field."""
        return cls([FieldError(field, message)])


class Unforeseeable(HeartbeatCentralError):
    """A schedule doesn't say when it fires next: its last time is over, or its library can't tell."""


class NotFound(HeartbeatCentralError):
    """There is no such thing, or it belongs to another project."""


class Conflict(HeartbeatCentralError):
    """The request contradicts what is stored, e.g. an e-mail address that is already taken."""


class Unauthenticated(HeartbeatCentralError):
    """No valid key, session or password was given."""


class Forbidden(HeartbeatCentralError):
    """The key or account is known but may not do this."""


class StorageUnavailable(HeartbeatCentralError):
    """The database can't be reached or refuses to write. Nothing was stored; try again."""


class UnknownSchema(HeartbeatCentralError):
    """The tables are of a newer version of the program, too new for this one. They were left as they are."""


class BackupRefused(HeartbeatCentralError):
    """A backup file can't be used, for the reason given. Nothing was changed."""


class DeliveryFailure(HeartbeatCentralError):
    """An alert could not be handed over. Only its two subclasses are raised."""


class TemporaryFailure(DeliveryFailure):
    """The receiver may accept the alert later: retry, not before `retry_after` when it is given."""

    def __init__(self, message: str, *, retry_after: timedelta | None = None) -> None:
        self.retry_after = retry_after
        super().__init__(message)


class PermanentFailure(DeliveryFailure):
    """The receiver will never accept the alert as it is: wrong address, revoked key, bad request."""

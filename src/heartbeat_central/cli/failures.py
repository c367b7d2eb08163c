"""Turns every expected failure into what to tell: what is wrong, and how to mend it."""

import errno
import socket

from heartbeat_central.domain.errors import (
    BackupRefused,
    Conflict,
    DeliveryFailure,
    Forbidden,
    HeartbeatCentralError,
    Invalid,
    NotFound,
    StorageUnavailable,
    Unauthenticated,
)

_OPTIONS = {
    "name": "NAME",
    "email": "EMAIL",
    "password": "The password",
    "expected_interval": "--interval",
    "grace_period": "--grace",
    "schedule.expression": "The schedule",
    "schedule.timezone": "--timezone",
    "channels": "--channel",
    "scope": "--scope",
}
"""How people wrote on the command line what services call a field."""

_BINDING = {
    errno.EADDRINUSE: "another program is using it; stop that one, or choose another with PORT "
    "or --port",
    errno.EACCES: "this user may not use it; choose one above 1023 with PORT or --port",
    errno.EADDRNOTAVAIL: "this machine has no such address; set HOST to one of its own, or to "
    "0.0.0.0 for all of them",
}

_RESTORE = "put it back from a backup, or point DATABASE_URL or HEARTBEAT_DATA_DIR to another"
_OPENING = {
    "unable to open database file": "DATABASE_URL must name a file in a folder that is there and "
    "that this user may write in",
    "attempt to write a readonly database": "mend the owner and mode of the file and its folder",
    "database is locked": "another program is writing to the file; try again, or stop that one",
    "database or disk is full": "make room on the disk",
    "file is not a database": _RESTORE,
    "database disk image is malformed": _RESTORE,
}
"""What helps against SQLite's own words."""


class CommandFailed(HeartbeatCentralError):
    """A command can't do what was asked; the text says why and how to mend it."""


class CannotListen(CommandFailed):
    """The service can't listen on its address; the text names it and says what to change."""

    def __init__(self, host: str, port: int, error: OSError) -> None:
        if isinstance(error, socket.gaierror):
            remedy = "no such host is known; set HOST to an address of this machine"
        else:
            reason = error.strerror or str(error)
            remedy = _BINDING.get(error.errno or 0, f"{reason}; set HOST and PORT to others")
        super().__init__(f"Can't listen on {host} port {port}: {remedy}.")


class SchemaOutdated(CommandFailed):
    """The tables are not those that this version of the program works with."""


def explain(error: Exception) -> str | None:
    """Return one sentence a line for people; None for an error that nobody expected, a bug."""
    match error:
        case Invalid():
            return "\n".join(
                f"{_OPTIONS.get(one.field, one.field)}: {_sentence(one.message)}"
                for one in error.errors
            )
        case StorageUnavailable():
            reason = str(error).strip().rstrip(".")
            remedy = _OPENING.get(
                reason, "check that it is running and that DATABASE_URL points to it"
            )
            return f"The database can't be used ({reason}); {remedy}."
        case BackupRefused():
            return f"The backup can't be used: {error}. Nothing was changed."
        case DeliveryFailure():
            return f"The alert was not delivered: {_sentence(str(error))}"
        case NotFound() | Conflict() | Unauthenticated() | Forbidden():
            return _sentence(str(error) or type(error).__doc__ or "")
        case HeartbeatCentralError():
            return str(error)
        case OSError(errno=(errno.EADDRINUSE | errno.EACCES | errno.EADDRNOTAVAIL) as number) if (
            error.filename is None
        ):
            return f"Can't listen: {_BINDING[number]}."
        case _:
            return _of_the_database(getattr(error, "orig", None))


def _of_the_database(error: object) -> str | None:
    """Return what to tell of a driver's error that an operator can cause; None for any other."""
    # insufficient_privilege: since PostgreSQL 15 only a database's owner may make tables in it.
    if getattr(error, "sqlstate", None) == "42501":
        reason = (str(error).strip().splitlines() or ["permission denied"])[0]
        return (
            f"The user in DATABASE_URL may not do what is needed ({reason}); make it the owner of "
            "its database: ALTER DATABASE name OWNER TO user."
        )
    return None


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."

"""What a check finds."""

from dataclasses import dataclass
from enum import Enum, StrEnum


class State(Enum):
    """How a check ended."""

    OK = "ok"
    NOTE = "note"
    """Nothing is broken, but worth knowing."""
    FAILED = "failed"


class CheckId(StrEnum):
    """The ids, which never change: docs/reference/doctor.md explains each, and scripts look for them."""

    SETTINGS = "settings"
    DATA_FOLDER = "data-folder"
    DATABASE = "database"
    SCHEMA = "schema"
    SECRET_KEY = "secret-key"  # noqa: S105  the name of a check
    CLOCK = "clock"
    INGEST = "ingest"
    DETECTOR = "detector"
    OUTBOX = "outbox"
    DEAD_LETTERS = "dead-letters"
    BLIND_WINDOWS = "blind-windows"
    APPLICATIONS = "applications"
    CHANNELS = "channels"
    PORT = "port"
    PRIVATE_TARGETS = "private-targets"
    MAIL_SERVER = "mail-server"
    WATCHDOG = "watchdog"


@dataclass(frozen=True, slots=True)
class Check:
    """One finding."""

    id: CheckId
    state: State
    what: str
    """What was found, as one sentence."""
    hint: str = ""
    """What to do about it; empty when there is nothing to do."""

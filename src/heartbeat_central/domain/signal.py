"""What an application sends, parsed and checked at the edge."""

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from uuid import UUID

from heartbeat_central.domain.moment import aware


class SignalKind(IntEnum):
    """Stored in the history as its number: never renumber."""

    SUCCESS = 0
    START = 1
    FAIL = 2
    LOG = 3

    @property
    def label(self) -> str:
        """Return the word the API uses: `success`, `start`, `fail` or `log`."""
        return self.name.lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """One call of an application, as it arrived."""

    uuid: UUID
    """The application it is for."""
    kind: SignalKind
    received_at: datetime
    """When the request arrived here, UTC."""
    exit_status: int | None = None
    """0-255 when the application sent one."""
    rid: UUID | None = None
    """Pairs a start with its finish."""
    body: bytes | None = None
    """As it came, cut to the body limit; any bytes, not necessarily text."""
    body_size: int = 0
    """Bytes received before the cut."""
    remote_address: str | None = None
    method: str = "POST"
    user_agent: str | None = None

    def __post_init__(self) -> None:
        aware(self.received_at)

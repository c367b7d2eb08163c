"""Heartbeats that change nothing but when an application was last heard from: nearly all of them.

They are stored by one statement a batch that reads no state first. Its condition holds only for an
application that is still as it was last seen, steady (`domain.state.is_steady`) or paused; the ids of
the others come back, with nothing stored for them, and their signals are judged under a row lock.
So no race is ever decided here, and no process needs to hear what another one changed.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from heartbeat_central.domain.signal import Signal


@dataclass(frozen=True, slots=True)
class Touch:
    """One application that was heard from."""

    application_id: int
    is_paused: bool
    """As it was last seen: paused, else steady."""
    heard_at: datetime | None
    """The latest success; None when there is none to note."""


@dataclass(frozen=True, slots=True)
class Touches:
    """What one transaction stores."""

    applications: Sequence[Touch]
    """In the order of their ids, in which every process locks rows; each id once."""
    signals: Sequence[tuple[int, Signal]]
    """Application id and signal, in the order of arrival."""


class TouchStore(Protocol):
    """Stores touches. Used by one thread at a time."""

    def find(self, uuids: Collection[UUID]) -> Mapping[UUID, tuple[int, bool]]:
        """Return the ids of those applications that are steady or paused, and whether paused.

        Raises StorageUnavailable when the database can't be reached.
        """

    def store(self, touches: Touches) -> Collection[int]:
        """Commit `touches` and return the ids of the applications that they no longer apply to.

        Raises StorageUnavailable when the database can't be reached, and other errors when it refuses
        what it was given; in both cases the caller can't know whether anything was stored.
        """

    def close(self) -> None:
        """Let go of the connection, if there is one of its own."""

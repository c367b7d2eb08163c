"""A saved configuration of an alert plugin, as the API and the pages show it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from heartbeat_central.domain.moment import isoformat

LONGEST_NAME = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelView:
    """A channel with its secrets masked."""

    id: int
    name: str
    type: str
    config: Mapping[str, Any]
    """As people entered it; secrets are masked."""
    is_active: bool
    last_delivery: datetime | None
    """When an alert last reached it."""
    last_error: str | None
    """Why the last attempt failed; None when it did not."""
    created_at: datetime
    updated_at: datetime

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON values, times as RFC 3339 text."""
        return {
            "id": self.id,
            "name": self.name,
            "type": self.type,
            "config": dict(self.config),
            "is_active": self.is_active,
            "last_delivery": isoformat(self.last_delivery),
            "last_error": self.last_error,
            "created_at": isoformat(self.created_at),
            "updated_at": isoformat(self.updated_at),
        }

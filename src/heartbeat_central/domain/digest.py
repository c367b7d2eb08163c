"""What a digest tells: one message about several applications, instead of a message each."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from heartbeat_central.domain import moment
from heartbeat_central.domain.incident import Incident
from heartbeat_central.domain.state import Shown
from heartbeat_central.domain.view import ApplicationView, incident_from_json, incident_json

MOST_ENTRIES = 500
"""Of one digest, which keeps its JSON well under 1 MB; more are told in several digests."""


class DigestTopic(StrEnum):
    """What a digest is about; the webhook's `topic`."""

    STORM = "storm"
    """Many applications went down, or came back, together."""
    BLIND_WINDOW = "blind_window"
    """Heartbeats may have been lost while this service could not receive any."""
    DEAD_LETTER = "dead_letter"
    """Alerts that another channel could not deliver."""
    NOT_WATCHED = "not_watched"
    """Applications that can't be watched because of what is stored of them, or can be again."""


_AS_STORED = {DigestTopic.NOT_WATCHED: DigestTopic.BLIND_WINDOW}
"""Under which topic a node of the version before, which may send a digest, knows how to read it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedApplication:
    """An application in a list: the part of its view that tells which one it is and how it is."""

    id: int
    uuid: UUID
    name: str
    slug: str
    tags: tuple[str, ...]
    status: Shown
    last_heartbeat: datetime | None
    problem: str | None = None
    """Why it can't be watched; None: it can."""

    @classmethod
    def of(cls, view: ApplicationView) -> "ListedApplication":
        """Return what a list says of the application."""
        return cls(
            id=view.id,
            uuid=view.uuid,
            name=view.name,
            slug=view.slug,
            tags=view.tags,
            status=view.status,
            last_heartbeat=view.last_heartbeat,
            problem=view.problem,
        )

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON values under the names that the API's application has."""
        return {
            "id": self.id,
            "uuid": str(self.uuid),
            "name": self.name,
            "slug": self.slug,
            "tags": list(self.tags),
            "status": self.status.value,
            "last_heartbeat": moment.isoformat(self.last_heartbeat),
            "problem": self.problem,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "ListedApplication":
        """Return what `as_json` wrote."""
        return cls(
            id=data["id"],
            uuid=UUID(data["uuid"]),
            name=data["name"],
            slug=data["slug"],
            tags=tuple(data["tags"]),
            status=Shown(data["status"]),
            last_heartbeat=moment.parse(data["last_heartbeat"]),
            # Digests that an older version stored have none.
            problem=data.get("problem"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DigestEntry:
    """One line of the list."""

    application: ListedApplication
    incident: Incident | None = None
    """The outage it is about; None when the digest is about no outage."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Digest:
    """The content of an alert of kind `digest`."""

    topic: DigestTopic
    title: str
    """A few words, the subject line: `DOWN: 12 applications, likely a shared cause`."""
    sentence: str
    """One or two sentences that say what happened."""
    entries: tuple[DigestEntry, ...]
    """In the order to be shown; at most MOST_ENTRIES."""

    def applications(self) -> list[ListedApplication]:
        """Return the applications of the list, each once."""
        return list({entry.application.id: entry.application for entry in self.entries}.values())

    def incidents(self) -> list[Incident]:
        """Return the outages of the list."""
        return [entry.incident for entry in self.entries if entry.incident is not None]

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON values, to store."""
        return {
            "topic": _AS_STORED.get(self.topic, self.topic).value,
            "exact_topic": self.topic.value,
            "title": self.title,
            "sentence": self.sentence,
            "entries": [
                {
                    "application": entry.application.as_json(),
                    "incident": incident_json(entry.incident) if entry.incident else None,
                }
                for entry in self.entries
            ],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Digest":
        """Return the digest that `as_json` wrote."""
        return cls(
            topic=DigestTopic(data.get("exact_topic", data["topic"])),
            title=data["title"],
            sentence=data["sentence"],
            entries=tuple(
                DigestEntry(
                    application=ListedApplication.from_json(entry["application"]),
                    incident=incident_from_json(entry["incident"]) if entry["incident"] else None,
                )
                for entry in data["entries"]
            ),
        )

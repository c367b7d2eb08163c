"""An application as the API, the alerts and the pages show it: settings, state and what follows."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from heartbeat_central.domain import moment, state
from heartbeat_central.domain.application import Application
from heartbeat_central.domain.blind_window import NO_WINDOWS, BlindWindows
from heartbeat_central.domain.incident import Incident, Reason
from heartbeat_central.domain.schedule import as_json


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplicationView:
    """A snapshot at one moment. `as_json` is the API's application and the webhook's."""

    id: int
    uuid: UUID
    name: str
    slug: str
    description: str
    tags: tuple[str, ...]
    expected_interval: int | None
    grace_period: int
    expect_first_heartbeat: bool
    schedule: Mapping[str, str] | None
    is_active: bool
    status: state.Shown
    last_heartbeat: datetime | None
    next_expected: datetime | None
    deadline: datetime | None
    heartbeat_url: str
    channels: tuple[int, ...]
    created_at: datetime
    updated_at: datetime
    problem: str | None = None
    """Why it is not watched as it should be; None: all is well."""

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON values, times as RFC 3339 text."""
        return {
            "id": self.id,
            "uuid": str(self.uuid),
            "name": self.name,
            "slug": self.slug,
            "description": self.description,
            "tags": list(self.tags),
            "expected_interval": self.expected_interval,
            "grace_period": self.grace_period,
            "expect_first_heartbeat": self.expect_first_heartbeat,
            "schedule": None if self.schedule is None else dict(self.schedule),
            "is_active": self.is_active,
            "status": self.status.value,
            "last_heartbeat": moment.isoformat(self.last_heartbeat),
            "next_expected": moment.isoformat(self.next_expected),
            "deadline": moment.isoformat(self.deadline),
            "heartbeat_url": self.heartbeat_url,
            "channels": list(self.channels),
            "created_at": moment.isoformat(self.created_at),
            "updated_at": moment.isoformat(self.updated_at),
            "problem": self.problem,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "ApplicationView":
        """Return the view that `as_json` wrote."""
        return cls(
            **{
                **data,
                "uuid": UUID(data["uuid"]),
                "tags": tuple(data["tags"]),
                "status": state.Shown(data["status"]),
                "channels": tuple(data["channels"]),
                **{field: moment.parse(data[field]) for field in _MOMENTS},
            }
        )


_MOMENTS = ("last_heartbeat", "next_expected", "deadline", "created_at", "updated_at")


def application_view(
    application: Application,
    hot: state.State,
    *,
    now: datetime,
    base_url: str,
    windows: BlindWindows = NO_WINDOWS,
) -> ApplicationView:
    """Return what `application` looks like at `now`. `base_url` has no trailing slash.

    `windows` are the blind ones since it was last heard from, which may make its deadline later.
    """
    settings = application.settings
    return ApplicationView(
        id=application.id,
        uuid=application.uuid,
        name=settings.name,
        slug=settings.slug,
        description=settings.description,
        tags=settings.tags,
        expected_interval=settings.expected_interval,
        grace_period=settings.timing.grace_period,
        expect_first_heartbeat=settings.timing.expect_first_heartbeat,
        schedule=as_json(settings.timing.schedule),
        is_active=hot.status is not state.Status.PAUSED,
        status=state.shown(settings.timing, hot, now=now),
        last_heartbeat=hot.last_heartbeat_at,
        next_expected=state.next_expected(settings.timing, hot),
        deadline=state.deadline(settings.timing, hot, windows),
        heartbeat_url=f"{base_url}/heartbeat/{application.uuid}",
        channels=application.channel_ids,
        created_at=application.created_at,
        updated_at=application.updated_at,
        problem=settings.timing.problem or hot.problem or application.problem,
    )


def incident_json(incident: Incident) -> dict[str, Any]:
    """Return the API's incident, times as RFC 3339 text."""
    return {
        "id": incident.id,
        "application_id": incident.application_id,
        "reason": incident.reason.value,
        "exit_status": incident.exit_status,
        "opened_at": moment.isoformat(incident.opened_at),
        "closed_at": moment.isoformat(incident.closed_at),
        "last_heartbeat": moment.isoformat(incident.last_heartbeat_at),
    }


def incident_from_json(data: Mapping[str, Any]) -> Incident:
    """Return the incident that `incident_json` wrote."""
    opened_at = moment.parse(data["opened_at"])
    assert opened_at is not None
    return Incident(
        id=data["id"],
        application_id=data["application_id"],
        reason=Reason(data["reason"]),
        exit_status=data["exit_status"],
        opened_at=opened_at,
        closed_at=moment.parse(data["closed_at"]),
        last_heartbeat_at=moment.parse(data["last_heartbeat"]),
    )

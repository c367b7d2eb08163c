"""What is monitored, and the rules its settings must keep."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from heartbeat_central.domain.errors import FieldError, Invalid
from heartbeat_central.domain.moment import aware
from heartbeat_central.domain.schedule import (
    AnySchedule,
    IntervalSchedule,
    Timing,
    UnreadableSchedule,
    calendar_schedule,
)
from heartbeat_central.domain.text import is_storable

LONGEST_NAME = 200
LONGEST_DESCRIPTION = 10_000
LONGEST_TAG = 100
MOST_TAGS = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplicationSettings:
    """What people choose about an application. Raises Invalid, naming every bad field."""

    name: str
    timing: Timing
    slug: str = ""
    """Made from the name when empty."""
    description: str = ""
    tags: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        errors = _label_errors(self.name, self.slug, self.description, self.tags)
        if errors:
            raise Invalid(errors)
        if not self.slug:
            object.__setattr__(self, "slug", slug_of(self.name))

    @property
    def expected_interval(self) -> int | None:
        """Return the interval in seconds; None for a cron or OnCalendar schedule."""
        match self.timing.schedule:
            case IntervalSchedule(seconds=seconds) | UnreadableSchedule(expected_interval=seconds):
                return seconds
            case _:
                return None


def settings_from(
    *,
    name: str,
    expected_interval: int | None,
    schedule: Mapping[str, str] | None,
    grace_period: int = 0,
    expect_first_heartbeat: bool = True,
    slug: str = "",
    description: str = "",
    tags: Sequence[str] = (),
) -> ApplicationSettings:
    """Return the settings that people entered; Invalid names the bad fields of all parts at once.

    Exactly one of `expected_interval` (seconds) and `schedule` (`kind`, `expression`, `timezone`) is
    needed.
    """
    errors = _label_errors(name, slug, description, tags)
    try:
        timing = Timing(
            schedule=_one_schedule(expected_interval, schedule),
            grace_period=grace_period,
            expect_first_heartbeat=expect_first_heartbeat,
        )
    except Invalid as invalid:
        raise Invalid([*errors, *invalid.errors]) from invalid
    if errors:
        raise Invalid(errors)
    return ApplicationSettings(
        name=name, timing=timing, slug=slug, description=description, tags=tuple(tags)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """An application with its identity."""

    id: int
    uuid: UUID
    """The write-only capability in its heartbeat URL."""
    project_id: int
    settings: ApplicationSettings
    channel_ids: tuple[int, ...] = ()
    """The channels it is subscribed to, ascending."""
    created_at: datetime
    updated_at: datetime
    problem: str | None = None
    """Why it is not watched as it should be, as one sentence; None: all is well."""

    def __post_init__(self) -> None:
        aware(self.created_at)
        aware(self.updated_at)

    def with_settings(self, settings: ApplicationSettings, *, now: datetime) -> "Application":
        """Return the application as changed at `now`."""
        return replace(self, settings=settings, updated_at=aware(now))


def slug_of(name: str) -> str:
    """Return a URL-safe short form of `name`: `Nightly backup (DB)` -> `nightly-backup-db`."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:LONGEST_NAME] or "application"


def _one_schedule(expected_interval: int | None, schedule: Mapping[str, str] | None) -> AnySchedule:
    if (expected_interval is None) == (schedule is None):
        raise Invalid.one(
            "expected_interval", "give either `expected_interval` in seconds or `schedule`"
        )
    if schedule is not None:
        return calendar_schedule(
            schedule["kind"], schedule["expression"], schedule.get("timezone", "UTC")
        )
    assert expected_interval is not None
    return IntervalSchedule(expected_interval)


def _label_errors(name: str, slug: str, description: str, tags: Sequence[str]) -> list[FieldError]:
    return [
        *_text_errors("name", name, longest=LONGEST_NAME, shortest=1),
        *_text_errors("description", description, longest=LONGEST_DESCRIPTION),
        *_slug_errors(slug),
        *_tag_errors(tags),
    ]


def _text_errors(field: str, text: str, *, longest: int, shortest: int = 0) -> list[FieldError]:
    if not is_storable(text):
        return [FieldError(field, "must not contain NUL or unpaired surrogate characters")]
    if not shortest <= len(text.strip()) or len(text) > longest:
        return [FieldError(field, f"must have {shortest} to {longest} characters")]
    return []


def _slug_errors(slug: str) -> list[FieldError]:
    if len(slug) <= LONGEST_NAME and re.fullmatch(r"[a-z0-9_-]*", slug):
        return []
    return [
        FieldError("slug", f"may hold a-z, 0-9, `-` and `_` only, at most {LONGEST_NAME} of them")
    ]


def _tag_errors(tags: Sequence[str]) -> list[FieldError]:
    if len(tags) > MOST_TAGS:
        return [FieldError("tags", f"at most {MOST_TAGS} tags")]
    return [
        error
        for position, tag in enumerate(tags)
        for error in _text_errors(f"tags.{position}", tag, longest=LONGEST_TAG, shortest=1)
    ]

"""The form of an application: from text to settings and back. What was typed is never lost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from zoneinfo import available_timezones

from werkzeug.datastructures import MultiDict

from heartbeat_central.domain.application import ApplicationSettings, settings_from
from heartbeat_central.domain.errors import FieldError, Invalid
from heartbeat_central.domain.view import ApplicationView
from heartbeat_central.web.words import UNITS, amount, sentence

_INPUTS = {
    "expected_interval": "interval",
    "schedule.kind": "kind",
    "schedule.expression": "expression",
    "schedule.timezone": "timezone",
    "grace_period": "grace",
}
"""Which input an error of the rules belongs to, where the names differ."""


@dataclass(frozen=True, kw_only=True)
class ApplicationForm:
    """What the inputs hold, as text."""

    name: str = ""
    description: str = ""
    tags: str = ""
    kind: str = "interval"
    """`interval`, `cron` or `oncalendar`."""
    interval: str = "5"
    interval_unit: str = "minutes"
    expression: str = ""
    timezone: str = "UTC"
    grace: str = "1"
    grace_unit: str = "minutes"
    expect_first_heartbeat: bool = True
    channels: Sequence[int] = ()
    errors: Mapping[str, str] = field(default_factory=dict)
    """What is wrong, by input."""


def form_of(view: ApplicationView) -> ApplicationForm:
    """Return the form filled with what is stored."""
    interval, interval_unit = amount(view.expected_interval or 300)
    grace, grace_unit = amount(view.grace_period)
    schedule = view.schedule or {}
    return ApplicationForm(
        name=view.name,
        description=view.description,
        tags=", ".join(view.tags),
        kind=schedule.get("kind", "interval"),
        interval=interval,
        interval_unit=interval_unit,
        expression=schedule.get("expression", ""),
        timezone=schedule.get("timezone", "UTC"),
        grace=grace,
        grace_unit=grace_unit,
        expect_first_heartbeat=view.expect_first_heartbeat,
        channels=view.channels,
    )


def read_form(data: "MultiDict[str, str]") -> ApplicationForm:
    """Return what was sent."""
    return ApplicationForm(
        name=data.get("name", ""),
        description=data.get("description", "").replace("\r\n", "\n"),
        tags=data.get("tags", ""),
        kind=data.get("kind", "interval"),
        interval=data.get("interval", ""),
        interval_unit=data.get("interval_unit", "seconds"),
        expression=data.get("expression", ""),
        timezone=data.get("timezone", ""),
        grace=data.get("grace", ""),
        grace_unit=data.get("grace_unit", "seconds"),
        expect_first_heartbeat="expect_first_heartbeat" in data,
        channels=[int(one) for one in data.getlist("channels") if _is_id(one)],
    )


def values_of(form: ApplicationForm) -> dict[str, Any]:
    """Return the arguments of `settings_from` that the form means. Raises Invalid by input."""
    errors: list[FieldError] = []
    values: dict[str, Any] = {
        "name": form.name.strip(),
        "description": form.description.strip(),
        "tags": tuple(dict.fromkeys(tag.strip() for tag in form.tags.split(",") if tag.strip())),
        "expect_first_heartbeat": form.expect_first_heartbeat,
        "expected_interval": None,
        "schedule": None,
        "grace_period": _seconds("grace", form.grace or "0", form.grace_unit, errors),
    }
    if form.kind == "interval":
        values["expected_interval"] = _seconds(
            "interval", form.interval, form.interval_unit, errors, otherwise=60
        )
    else:
        values["schedule"] = {
            "kind": form.kind,
            "expression": form.expression.strip(),
            "timezone": form.timezone.strip(),
        }
    try:
        settings_from(**values)
    except Invalid as invalid:
        errors += [_at_input(error) for error in invalid.errors]
    if errors:
        raise Invalid(errors)
    return values


def settings_of(form: ApplicationForm) -> ApplicationSettings:
    """Return the settings that the form means. Raises Invalid by input."""
    return settings_from(**values_of(form))


def errors_by_input(invalid: Invalid) -> dict[str, str]:
    """Return the first error of each input, as a sentence."""
    found: dict[str, str] = {}
    for error in map(_at_input, invalid.errors):
        found.setdefault(error.field, sentence(error.message))
    return found


@lru_cache(maxsize=1)
def time_zones() -> tuple[str, ...]:
    """Return the zones to suggest, without the legacy ones."""
    areas = ("Africa/", "America/", "Asia/", "Atlantic/", "Australia/", "Europe/", "Pacific/")
    return ("UTC", *sorted(zone for zone in available_timezones() if zone.startswith(areas)))


def _seconds(
    name: str, text: str, unit: str, errors: list[FieldError], *, otherwise: int = 0
) -> int:
    """Return an amount in seconds; on nonsense note the error and go on with `otherwise`."""
    try:
        seconds = float(text.strip().replace(",", ".")) * UNITS.get(unit, 1)
        # How much is too much is for the rules to say. Infinity and NaN raise.
        if int(seconds) == seconds:
            return int(seconds)
        message = "must be a whole number of seconds"
    except (ValueError, OverflowError):
        message = "must be a number"
    errors.append(FieldError(name, message))
    return otherwise


def _at_input(error: FieldError) -> FieldError:
    name = error.field.partition(".")[0] if error.field.startswith("tags.") else error.field
    return FieldError(_INPUTS.get(name, name), error.message)


def _is_id(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 19

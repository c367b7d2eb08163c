"""Reads the settings from an environment and a `.env` file, and refuses what it doesn't understand.

An unknown key, or a value that can't be read, is an error and never a silent default: a
misspelt setting of a monitor is found out in the night that it was needed.
"""

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dotenv.parser import parse_stream
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from heartbeat_central.settings.errors import Problem, SettingsError, reason_of
from heartbeat_central.settings.model import Settings, variables

OWN_PREFIX = "HEARTBEAT_"
"""Variables of the environment with this prefix are ours, so an unknown one is a mistake."""
SHORTEST_SECRET_KEY = 16
"""Characters; checked in production only, so that a toy key still serves for a trial."""
PLACEHOLDERS = {
    "change-me", "changeme", "change-this", "your-secret-key", "your-secret-key-here",
    "your-secret-key-change-in-production",
}  # fmt: skip
"""Values of SECRET_KEY copied from guides: public, so no secret."""


def read_settings(env: Mapping[str, str], dotenv: Path | None = None) -> Settings:
    """Return the settings in `env` and, behind it, in the file `dotenv` (fine when absent).

    An empty value counts as unset. Raises SettingsError that names every problem at once.
    """
    known = variables()
    in_file, problems = _read_dotenv(dotenv)
    problems += [_unknown(name, f" in {dotenv}") for name in in_file if name not in known]
    problems += [_unknown(name, "") for name in env if _is_a_mistake(name, env)]

    given = {name: value for name, value in in_file.items() if name in known}
    given |= {name: env[name] for name in known if name in env}
    values = {
        name: value if _is_secret(known[name]) else value.strip()
        for name, value in given.items()
        if value.strip()
    }
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        problems += [
            _unreadable(name, known[name], values[name])
            for name in dict.fromkeys(str(detail["loc"][0]) for detail in error.errors())
        ]
        settings = None
    problems += _contradictions(values)
    if problems or settings is None:
        raise SettingsError(problems)
    return settings


def _read_dotenv(path: Path | None) -> tuple[dict[str, str], list[Problem]]:
    if path is None:
        return {}, []
    values: dict[str, str] = {}
    problems: list[Problem] = []
    try:
        with path.open(encoding="utf-8-sig") as file:
            bindings = list(parse_stream(file))
    except FileNotFoundError:
        return {}, []
    except (OSError, UnicodeDecodeError) as error:
        sentence = f"The file {path} can't be read ({reason_of(error)}); mend it, or move it away."
        return {}, [Problem(str(path), sentence)]
    for binding in bindings:
        if binding.error or (binding.key is not None and binding.value is None):
            line = binding.original.line
            problems.append(
                Problem(str(path), f"Line {line} of {path} can't be read; write it as NAME=value.")
            )
        elif binding.key is not None:
            # No ${…} is expanded: a password may hold a dollar sign.
            values[binding.key] = binding.value or ""
    return values, problems


def _is_a_mistake(name: str, env: Mapping[str, str]) -> bool:
    if not name.startswith(OWN_PREFIX) or name in variables():
        return False
    # Kubernetes tells every container of a service called "heartbeat" in variables of these names.
    services = [other[: -len("_SERVICE_HOST")] for other in env if other.endswith("_SERVICE_HOST")]
    return not any(name.startswith((f"{it}_SERVICE_", f"{it}_PORT")) for it in services)


def _unknown(name: str, where: str) -> Problem:
    # Without the prefix, for it would make any two of our names look alike.
    bare = {known.removeprefix(OWN_PREFIX): known for known in variables()}
    wanted = name.upper().removeprefix(OWN_PREFIX)
    close = difflib.get_close_matches(wanted, list(bare), n=1, cutoff=0.6)
    remedy = (
        f"did you mean {bare[close[0]]}?"
        if close
        else "remove it; .env.example lists every setting."
    )
    return Problem(name, f"{name}{where} is no setting of Heartbeat Central: {remedy}")


def _unreadable(name: str, field: FieldInfo, value: str) -> Problem:
    shown = "is not readable" if _is_secret(field) else f"is {value!r}"
    return Problem(name, f"{name} {shown}; it must be {_extra(field)['must']}.")


def _is_secret(field: FieldInfo) -> bool:
    return bool(_extra(field)["secret"])


def _extra(field: FieldInfo) -> Mapping[str, Any]:
    assert isinstance(field.json_schema_extra, dict)
    return field.json_schema_extra


def _contradictions(values: Mapping[str, str]) -> list[Problem]:
    problems = []
    pair = ("ADMIN_EMAIL", "ADMIN_PASSWORD")
    missing = [name for name in pair if name not in values]
    if len(missing) == 1:
        there = pair[1 - pair.index(missing[0])]
        problems.append(
            Problem(missing[0], f"{there} is set without {missing[0]}; set both, or neither.")
        )
    if values.get("FLASK_ENV") == "production":
        key = values.get("SECRET_KEY", "")
        if len(key) < SHORTEST_SECRET_KEY or key.lower() in PLACEHOLDERS:
            problems.append(
                Problem(
                    "SECRET_KEY",
                    "FLASK_ENV=production needs a SECRET_KEY of your own with at least "
                    f"{SHORTEST_SECRET_KEY} characters; make one with "
                    "`python -c 'import secrets; print(secrets.token_urlsafe(32))'`.",
                )
            )
    return problems

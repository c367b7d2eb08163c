"""The form of a channel, drawn from the JSON Schema of its plugin, and read back into values."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from werkzeug.datastructures import MultiDict

from heartbeat_central.alerts.base import AlertPlugin
from heartbeat_central.alerts.config import json_schema
from heartbeat_central.domain.errors import FieldError, Invalid
from heartbeat_central.web.words import sentence

PREFIX = "config."


@dataclass(frozen=True, slots=True, kw_only=True)
class FormField:
    """One input."""

    name: str
    label: str
    help: str
    kind: str
    """`text`, `password`, `number`, `checkbox`, `choice`, `pairs` or `lines`."""
    required: bool
    example: str
    options: tuple[str, ...] = ()

    @property
    def input(self) -> str:
        """Return the name of the input."""
        return PREFIX + self.name


def fields_of(plugin: AlertPlugin[Any]) -> list[FormField]:
    """Return the inputs for a plugin's configuration, in the order it declares them."""
    schema = json_schema(plugin)
    properties: Mapping[str, Mapping[str, Any]] = schema.get("properties", {})
    required = schema.get("required", ())
    ordered = sorted(properties.items(), key=lambda item: item[1].get("x-order", 0))
    return [
        FormField(
            name=name,
            label=spec.get("title", name),
            help=spec.get("description", ""),
            kind=_kind(spec),
            required=name in required,
            example=_example(spec),
            options=tuple(str(option) for option in spec.get("enum", ())),
        )
        for name, spec in ordered
    ]


def texts_of(fields: list[FormField], config: Mapping[str, Any]) -> dict[str, str]:
    """Return what the inputs show of a configuration, whose secrets are masked."""
    return {field.name: _as_text(config[field.name]) for field in fields if field.name in config}


def sent_texts(fields: list[FormField], data: "MultiDict[str, str]") -> dict[str, str]:
    """Return what was typed."""
    return {field.name: data.get(field.input, "") for field in fields}


def config_of(fields: list[FormField], texts: Mapping[str, str]) -> dict[str, Any]:
    """Return the configuration that was typed; what was left empty is left out.

    Raises Invalid on lines that are no `Name: value`. All else is for the plugin to judge.
    """
    config: dict[str, Any] = {}
    errors: list[FieldError] = []
    for field in fields:
        text = texts.get(field.name, "").replace("\r\n", "\n")
        if field.kind == "checkbox":
            config[field.name] = bool(text)
        elif text.strip():
            try:
                config[field.name] = _value(field, text)
            except ValueError as error:
                errors.append(FieldError(field.input, str(error)))
    if errors:
        raise Invalid(errors)
    return config


def errors_by_input(invalid: Invalid, fields: list[FormField]) -> dict[str, str]:
    """Return what is wrong by input; what belongs to none is under the empty name."""
    found: dict[str, str] = {}
    for error in invalid.errors:
        # An error of one header, `config.headers.X-Key`, belongs to the input of them all.
        home = next(
            (f.input for f in fields if f"{error.field}.".startswith(f"{f.input}.")),
            error.field if error.field == "name" else "",
        )
        part = error.field.removeprefix(home).lstrip(".")
        message = sentence(f"{part} {error.message}" if part else error.message)
        found[home] = f"{found[home]} {message}" if home in found else message
    return found


def _kind(spec: Mapping[str, Any]) -> str:
    if spec.get("enum"):
        return "choice"
    match spec.get("type"):
        case "integer" | "number":
            return "number"
        case "boolean":
            return "checkbox"
        case "object":
            return "pairs"
        case "array":
            return "lines"
    return "password" if spec.get("format") == "password" or spec.get("writeOnly") else "text"


def _example(spec: Mapping[str, Any]) -> str:
    examples = spec.get("examples") or [""]
    return _as_text(examples[0])


def _as_text(value: Any) -> str:
    if isinstance(value, Mapping):
        return "\n".join(f"{name}: {part}" for name, part in value.items())
    if isinstance(value, list):
        return "\n".join(map(str, value))
    if isinstance(value, bool):
        return "on" if value else ""
    return str(value)


def _value(field: FormField, text: str) -> Any:
    match field.kind:
        case "number":
            return _number(text.strip())
        case "lines":
            return [line.strip() for line in text.split("\n") if line.strip()]
        case "pairs":
            return _pairs(text)
    return text


def _number(text: str) -> Any:
    for read in (int, float):
        try:
            return read(text)
        except ValueError:
            continue
    # As it is: the plugin says what it wants instead.
    return text


def _pairs(text: str) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for line in text.split("\n"):
        if not line.strip():
            continue
        name, colon, value = line.partition(":")
        if not colon or not name.strip():
            raise ValueError("must have one `Name: value` on each line")
        pairs[name.strip()] = value.strip()
    return pairs

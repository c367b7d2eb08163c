"""What every plugin's configuration needs: validating, masking secrets, storing, drawing a form."""

import re
from collections.abc import Mapping
from typing import Any, TypeVar, get_args

from pydantic import SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from heartbeat_central.alerts.base import AlertPlugin, PluginConfig
from heartbeat_central.alerts.fields import MASK, SecretUrl
from heartbeat_central.domain.errors import FieldError, Invalid

ConfigT = TypeVar("ConfigT", bound=PluginConfig)

_STILL_MASKED = "is still masked; enter the value itself"
# pydantic's own words speak of types and dictionaries; these speak to people who fill in a form.
_MESSAGES = {
    "missing": "is required",
    "string_type": "must be text",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "bool_type": "must be true or false",
    "dict_type": "must be an object of names and values",
    "mapping_type": "must be an object of names and values",
    "string_too_short": "must not be empty",
    "string_too_long": "must have at most {max_length} characters",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
}


def validate(plugin: AlertPlugin[ConfigT], raw: Mapping[str, Any]) -> ConfigT:
    """Return the configuration that people entered. Raises Invalid with fields like `config.url`."""
    masked_fields = _masked_values(plugin, raw)
    if masked_fields:
        raise Invalid(FieldError(field, _STILL_MASKED) for field in masked_fields)
    try:
        return plugin.Config.model_validate(dict(raw))
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False)
        raise Invalid(_field_error(plugin, problem) for problem in problems) from None


def dump(plugin: AlertPlugin[Any], config: PluginConfig) -> dict[str, Any]:
    """Return plain JSON values with the real secrets, to be encrypted at rest. Unset: left out."""
    return {
        name: _revealed(getattr(config, name))
        for name in plugin.Config.model_fields
        if getattr(config, name) is not None
    }


def masked(plugin: AlertPlugin[Any], config: PluginConfig | Mapping[str, Any]) -> dict[str, Any]:
    """Return the configuration to show: secrets masked.

    Takes a stored mapping as well, unvalidated, so that one that an upgrade made invalid can still
    be seen and mended. A key that the plugin does not know is masked whole.
    """
    raw = dump(plugin, config) if isinstance(config, PluginConfig) else config
    fields = plugin.Config.model_fields
    return {
        name: _shown(fields[name], value) if name in fields else MASK for name, value in raw.items()
    }


def merge_masked(
    plugin: AlertPlugin[Any], new_raw: Mapping[str, Any], stored_raw: Mapping[str, Any]
) -> dict[str, Any]:
    """Return `new_raw` with the stored secret wherever its masked form was sent back."""
    shown = masked(plugin, stored_raw)
    return {
        name: _unmasked(value, shown.get(name), stored_raw.get(name))
        if name in plugin.Config.model_fields and _secret_type(plugin.Config.model_fields[name])
        else value
        for name, value in new_raw.items()
    }


def json_schema(plugin: AlertPlugin[Any]) -> dict[str, Any]:
    """Return the JSON Schema of the configuration, made for drawing a form.

    `x-order` gives the order of the inputs (0 first); secrets have `format: password` and
    `writeOnly`. Optional fields have their plain type and are not in `required`.
    """
    schema: dict[str, Any] = plugin.Config.model_json_schema()
    properties = schema.get("properties", {})
    schema["properties"] = {
        name: {**_flattened(spec), "x-order": position}
        for position, (name, spec) in enumerate(properties.items())
    }
    schema["title"] = plugin.label
    schema["description"] = plugin.summary
    return schema


def _field_error(plugin: AlertPlugin[Any], problem: ErrorDetails) -> FieldError:
    place = [str(part) for part in problem["loc"] if part != "[key]"]
    if problem["type"] == "extra_forbidden":
        known = ", ".join(f"`{name}`" for name in plugin.Config.model_fields)
        message = f"is not known; {plugin.label} takes {known}"
    elif problem["type"] in _MESSAGES:
        message = _MESSAGES[problem["type"]].format(**problem.get("ctx", {}))
    else:
        message = re.sub(r"^Value error, ", "", problem["msg"])
    return FieldError(".".join(["config", *place]), message)


def _masked_values(plugin: AlertPlugin[Any], raw: Mapping[str, Any]) -> list[str]:
    """Return the secret fields whose value is a mask that stands for nothing."""
    found = []
    for name, field in plugin.Config.model_fields.items():
        value = raw.get(name)
        if _secret_type(field) is None:
            continue
        if isinstance(value, Mapping):
            found += [f"config.{name}.{key}" for key, part in value.items() if _is_mask(part)]
        elif _is_mask(value):
            found.append(f"config.{name}")
    return found


def _is_mask(value: Any) -> bool:
    return isinstance(value, str) and (value == MASK or value.endswith(f"/{MASK}"))


def _secret_type(field: FieldInfo) -> type[SecretStr] | None:
    """Return the secret type in a field's annotation, also as `X | None` and `dict[str, X]`."""
    return _find_secret(field.annotation)


def _find_secret(annotation: Any) -> type[SecretStr] | None:
    if isinstance(annotation, type) and issubclass(annotation, SecretStr):
        return annotation
    return next(filter(None, map(_find_secret, get_args(annotation))), None)


def _shown(field: FieldInfo, value: Any) -> Any:
    secret = _secret_type(field)
    if secret is None or value is None:
        return value
    if isinstance(value, Mapping):
        return dict.fromkeys(value, MASK)
    if issubclass(secret, SecretUrl):
        return SecretUrl(str(value)).masked()
    return MASK


def _unmasked(value: Any, shown: Any, stored: Any) -> Any:
    if isinstance(value, Mapping) and isinstance(stored, Mapping) and isinstance(shown, Mapping):
        return {
            name: stored[name] if name in stored and part == shown.get(name) else part
            for name, part in value.items()
        }
    return stored if stored is not None and value in (shown, MASK) else value


def _revealed(value: Any) -> Any:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, Mapping):
        return {name: _revealed(part) for name, part in value.items()}
    return value


def _flattened(spec: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of an optional field as that of the field itself: forms know no null."""
    spec = dict(spec)
    kinds = [kind for kind in spec.pop("anyOf", []) if kind != {"type": "null"}]
    if len(kinds) == 1:
        spec = {**kinds[0], **spec}
    elif kinds:
        spec["anyOf"] = kinds
    if spec.get("default", "") is None:
        del spec["default"]
    return spec

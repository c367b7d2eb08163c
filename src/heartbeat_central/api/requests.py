"""From a request to typed values; every offending field is named."""

import base64
import binascii
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, NoReturn, TypeVar, get_args
from urllib.parse import urlencode
from uuid import UUID

from flask import Response, jsonify, request
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from werkzeug.exceptions import UnsupportedMediaType

from heartbeat_central.api.context import context
from heartbeat_central.api.problems import BadRequest
from heartbeat_central.domain.errors import FieldError, Invalid, NotFound
from heartbeat_central.domain.moment import isoformat, parse

LARGEST_ID = 2**63 - 1
DEFAULT_LIMIT = 100
LARGEST_LIMIT = 1000

ModelT = TypeVar("ModelT", bound=BaseModel)
RowT = TypeVar("RowT")
Rules = Callable[[Mapping[str, Any], Collection[str]], Sequence[FieldError]]
"""What else may be wrong: takes the fields of the right type, and the names of the others."""

# pydantic's own words speak of types and dictionaries; these say what would be right.
_MESSAGES = {
    "missing": "is required",
    "string_type": "must be text",
    "string_unicode": "must not contain unpaired surrogate characters",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "bool_type": "must be true or false",
    "list_type": "must be a list",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "literal_error": "must be {expected}",
    "string_too_short": "must not be empty",
    "string_too_long": "must have at most {max_length} characters",
    "too_long": "must have at most {max_length} elements",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
}


def body_as(model: type[ModelT], rules: Rules) -> ModelT:
    """Return the request's JSON object as `model`.

    Raises UnsupportedMediaType and BadRequest when it is no JSON object, and Invalid with every field
    that is unknown, has another type or breaks one of the `rules`.
    """
    raw = _json_object()
    try:
        value = model.model_validate(raw)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False, include_context=True)
        errors = [_field_error(model, raw, problem) for problem in problems]
        sound, bad = _without(raw, problems)
    else:
        errors, sound, bad = [], value.model_dump(exclude_unset=True), set()
    named = {error.field for error in errors}
    errors += [error for error in rules(sound, bad) if error.field not in named]
    if errors:
        raise Invalid(errors)
    return value


def no_body() -> None:
    """Raise BadRequest when there is a body that says anything."""
    if request.get_data().strip() not in (b"", b"{}"):
        raise BadRequest.one("body", "must be empty")


def reference(text: str) -> int | UUID:
    """Return the id or the uuid in a path. Raises NotFound when it is neither."""
    if text.isascii() and text.isdigit():
        return identifier(text)
    try:
        return UUID(text)
    except ValueError:
        raise NotFound("there is no such application") from None


def identifier(text: str) -> int:
    """Return the id in a path. Raises NotFound when it can't be one."""
    if text.isascii() and text.isdigit() and len(text) < 20 and int(text) <= LARGEST_ID:
        return int(text)
    raise NotFound("there is no such thing: an id is a whole number")


def query(allowed: Collection[str]) -> dict[str, str]:
    """Return the query parameters. Raises BadRequest on any that is not `allowed`."""
    unknown = [name for name in request.args if name not in allowed]
    if unknown:
        known = ", ".join(sorted(allowed)) or "none"
        raise BadRequest(
            [FieldError(name, f"is not known; known are: {known}") for name in unknown]
        )
    repeated = [name for name, texts in request.args.lists() if len(texts) > 1]
    if repeated:
        raise BadRequest([FieldError(name, "may be given once only") for name in repeated])
    return request.args.to_dict()


def limit_of(values: dict[str, str]) -> int:
    """Return `limit`, 100 by default. Raises BadRequest when it is no number from 1 to 1000."""
    text = values.get("limit", str(DEFAULT_LIMIT))
    if not (text.isascii() and text.isdigit() and 1 <= len(text) <= 4):
        raise BadRequest.one("limit", f"must be a whole number from 1 to {LARGEST_LIMIT}")
    if not 1 <= int(text) <= LARGEST_LIMIT:
        raise BadRequest.one("limit", f"must be a whole number from 1 to {LARGEST_LIMIT}")
    return int(text)


def before_id(values: dict[str, str]) -> int | None:
    """Return the id in `cursor`, None on the first page. Raises BadRequest."""
    parts = _cursor(values, 1)
    return None if parts is None else _whole(parts[0])


def before_position(values: dict[str, str]) -> tuple[datetime, int] | None:
    """Return the time and the id in `cursor`, None on the first page. Raises BadRequest."""
    parts = _cursor(values, 2)
    if parts is None:
        return None
    try:
        at = parse(parts[0])
    except ValueError:
        _bad_cursor()
    return (at, _whole(parts[1])) if at is not None else _bad_cursor()


def page(
    rows: Sequence[RowT],
    *,
    limit: int,
    as_json: Callable[[RowT], dict[str, Any]],
    position: Callable[[RowT], Sequence[object]],
) -> Response:
    """Return a list, with a `Link` to the next page when there is one (RFC 8288).

    `rows` holds one row more than `limit` when there is more to come. `position` gives what the next
    page starts after: an id, or a time and an id.
    """
    shown = rows[:limit]
    response = jsonify([as_json(row) for row in shown])
    if len(rows) > limit:
        parts = position(shown[-1])
        texts = [isoformat(part) if isinstance(part, datetime) else str(part) for part in parts]
        cursor = base64.urlsafe_b64encode("|".join(map(str, texts)).encode()).decode().rstrip("=")
        following = urlencode({**request.args.to_dict(), "cursor": cursor})
        # Not the address of this request: behind a proxy that ends TLS it would say http.
        address = f"{context().base_url}{request.path}?{following}"
        response.headers["Link"] = f'<{address}>; rel="next"'
    return response


def _json_object() -> dict[str, Any]:
    # Command-line clients often name no type at all; a wrong one is a mistake to tell.
    if request.mimetype not in ("", "application/json"):
        raise UnsupportedMediaType("send the body as `Content-Type: application/json`")
    try:
        raw = json.loads(
            request.get_data().decode(),
            parse_constant=_refuse_constant,
            object_pairs_hook=_refuse_repeated,
        )
    except (ValueError, RecursionError) as error:
        raise BadRequest.one("body", f"is not valid JSON: {str(error)[:200]}") from error
    if not isinstance(raw, dict):
        raise BadRequest.one("body", "must be a JSON object")
    return raw


def _without(
    raw: dict[str, Any], problems: Sequence[ErrorDetails]
) -> tuple[dict[str, Any], set[str]]:
    """Return what is left of `raw` without the fields that have problems, and their names.

    An unknown field inside an object is left out alone: the rest of the object can be judged.
    """
    bad = {
        str(problem["loc"][0])
        for problem in problems
        if problem["type"] != "extra_forbidden" or len(problem["loc"]) == 1
    }
    sound = {name: value for name, value in raw.items() if name not in bad}
    for problem in problems:
        field, *inside = problem["loc"]
        if len(inside) == 1 and isinstance(sound.get(str(field)), dict):
            kept = {name: value for name, value in sound[str(field)].items() if name != inside[0]}
            sound[str(field)] = kept
    return sound, bad


def _cursor(values: dict[str, str], parts: int) -> list[str] | None:
    if "cursor" not in values:
        return None
    try:
        padded = values["cursor"] + "=" * (-len(values["cursor"]) % 4)
        found = base64.b64decode(padded, altchars=b"-_", validate=True).decode().split("|")
    except (binascii.Error, ValueError):
        _bad_cursor()
    return found if len(found) == parts else _bad_cursor()


def _whole(text: str) -> int:
    try:
        return identifier(text)
    except NotFound:
        _bad_cursor()


def _bad_cursor() -> NoReturn:
    raise BadRequest.one("cursor", 'is none of ours; follow the `Link` header with rel="next"')


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _refuse_repeated(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name comes twice in one object")
    return found


def _field_error(
    model: type[BaseModel], raw: Mapping[str, Any], problem: ErrorDetails
) -> FieldError:
    place = _place(raw, problem["loc"])
    if problem["type"] == "extra_forbidden":
        fields = model.model_fields
        for part in problem["loc"][:-1]:
            fields = _model_in(fields[str(part)].annotation).model_fields
        known = ", ".join(f"`{name}`" for name in fields)
        return FieldError(place, f"is not known; known are {known}")
    message = _MESSAGES.get(problem["type"], problem["msg"].removeprefix("Value error, "))
    return FieldError(place, message.format(**problem.get("ctx", {})))


def _place(raw: Mapping[str, Any], loc: Sequence[int | str]) -> str:
    """Return a place as in `tags.1`. pydantic names branches of unions too; nobody sent those."""
    parts: list[str] = []
    value: Any = raw
    for part in loc:
        if isinstance(value, dict):
            value = value.get(str(part))
        elif isinstance(value, list) and isinstance(part, int):
            value = value[part]
        else:
            continue
        parts.append(str(part))
    return ".".join(parts) or "body"


def _model_in(annotation: Any) -> type[BaseModel]:
    """Return the model in `Model` or `Model | None`."""
    kinds = (annotation, *get_args(annotation))
    return next(kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel))

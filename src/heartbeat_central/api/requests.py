"""From a request to typed values; every offending field is named."""

import base64
import binascii
import json
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, NoReturn, TypeVar
from urllib.parse import urlencode
from uuid import UUID

from flask import Response, jsonify, request
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from heartbeat_central.api.problems import BadRequest
from heartbeat_central.domain.errors import FieldError, Invalid, NotFound
from heartbeat_central.domain.moment import isoformat, parse

LARGEST_ID = 2**63 - 1
DEFAULT_LIMIT = 100
LARGEST_LIMIT = 1000

ModelT = TypeVar("ModelT", bound=BaseModel)


def body_as(model: type[ModelT]) -> ModelT:
    """Return the request's JSON object as `model`.

    Raises BadRequest when it is no JSON object, Invalid when fields are wrong or unknown.
    """
    try:
        raw = json.loads(request.get_data(), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise BadRequest.one("body", f"is not valid JSON: {str(error)[:200]}") from error
    if not isinstance(raw, dict):
        raise BadRequest.one("body", "must be a JSON object")
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False, include_context=True)
        raise Invalid([_field_error(model, problem) for problem in problems]) from None


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


def page(rows: Sequence[dict[str, Any]], *, limit: int, last: Sequence[object] | None) -> Response:
    """Return a list with a `Link` to the next page when this one is full (RFC 8288).

    `last` is what the next page starts after: an id, or a time and an id.
    """
    response = jsonify(list(rows))
    if last is not None and len(rows) == limit:
        texts = [isoformat(part) if isinstance(part, datetime) else str(part) for part in last]
        cursor = base64.urlsafe_b64encode("|".join(map(str, texts)).encode()).decode().rstrip("=")
        following = urlencode({**request.args.to_dict(), "cursor": cursor})
        response.headers["Link"] = f'<{request.base_url}?{following}>; rel="next"'
    return response


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


def _field_error(model: type[BaseModel], problem: ErrorDetails) -> FieldError:
    place = ".".join(str(part) for part in problem["loc"]) or "body"
    if problem["type"] == "extra_forbidden":
        known = ", ".join(f"`{name}`" for name in model.model_fields)
        return FieldError(place, f"is not known; known are {known}")
    if problem["type"] == "missing":
        return FieldError(place, "is required")
    return FieldError(place, problem["msg"].removeprefix("Value error, "))

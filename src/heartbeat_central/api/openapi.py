"""The description of the API as OpenAPI 3.1, made from the routes and the models."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flask import Flask
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from werkzeug.http import HTTP_STATUS_CODES
from werkzeug.routing import Rule

from heartbeat_central import __version__
from heartbeat_central.api import models
from heartbeat_central.api.requests import DEFAULT_LIMIT, LARGEST_ID, LARGEST_LIMIT
from heartbeat_central.domain.state import Shown
from heartbeat_central.storage.outbox import DeliveryStatus

Json = dict[str, Any]

_PROBLEM = "application/problem+json"
_ID: Json = {"type": "integer", "minimum": 1, "maximum": LARGEST_ID}


@dataclass(frozen=True, slots=True)
class Operation:
    """What the routes themselves don't tell."""

    gives: type[BaseModel] | None = None
    many: bool = False
    """A list of what it gives, in pages."""
    takes: type[BaseModel] | None = None
    status: int = 200
    query: Sequence[str] = ()
    errors: Sequence[int] = ()
    """Besides those that every operation with a key may answer with."""


_PAGE = ("limit", "cursor")

OPERATIONS: Mapping[str, Operation] = {
    "api.applications.list_": Operation(
        models.Application, many=True, query=(*_PAGE, "search", "status", "tag")
    ),
    "api.applications.create": Operation(
        models.Application, takes=models.NewApplication, status=201
    ),
    "api.applications.show": Operation(models.Application, errors=(404,)),
    "api.applications.change": Operation(
        models.Application, takes=models.ApplicationChange, errors=(404,)
    ),
    "api.applications.delete": Operation(status=204, errors=(404,)),
    "api.applications.pause": Operation(models.Application, errors=(404,)),
    "api.applications.resume": Operation(models.Application, errors=(404,)),
    "api.applications.heartbeats": Operation(
        models.Heartbeat, many=True, query=_PAGE, errors=(404,)
    ),
    "api.applications.incidents": Operation(models.Incident, many=True, query=_PAGE, errors=(404,)),
    "api.incidents.list_": Operation(models.Incident, many=True, query=(*_PAGE, "open")),
    "api.incidents.show": Operation(models.Incident, errors=(404,)),
    "api.channels.list_": Operation(models.Channel, many=True, query=_PAGE),
    "api.channels.create": Operation(models.Channel, takes=models.NewChannel, status=201),
    "api.channels.show": Operation(models.Channel, errors=(404,)),
    "api.channels.change": Operation(models.Channel, takes=models.ChannelChange, errors=(404,)),
    "api.channels.delete": Operation(status=204, errors=(404,)),
    "api.channels.test": Operation(models.TestResult, errors=(404,)),
    "api.channels.deliveries": Operation(
        models.Delivery, many=True, query=(*_PAGE, "delivery_status"), errors=(404,)
    ),
    "api.channels.retry": Operation(models.Delivery, errors=(404, 409)),
    "api.deliveries.list_": Operation(
        models.Delivery, many=True, query=(*_PAGE, "delivery_status")
    ),
    "api.alert_plugins.list_plugins": Operation(models.AlertPlugin, many=True),
}
"""By the endpoint's name. A route that is missing here is missing in the description."""

PROBES: Mapping[str, tuple[str, Operation]] = {
    "/health": (
        "Tell how this process is: 200, or 503 when one of its parts fails",
        Operation(models.Health),
    ),
    "/health/ready": ("The same, for load balancers", Operation(models.Health)),
    "/health/live": ("Tell that this process answers", Operation(models.Alive)),
    "/metrics": ("Give what Prometheus reads", Operation()),
}
"""By their paths: what every process answers before any route, and what to say of it."""

_QUERY: Mapping[str, Json] = {
    "limit": {
        "description": "How many to return at most",
        "schema": {
            "type": "integer",
            "minimum": 1,
            "maximum": LARGEST_LIMIT,
            "default": DEFAULT_LIMIT,
        },
    },
    "cursor": {
        "description": "Where the page begins: from the `Link` header of the page before",
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9_-]+$"},
    },
    "search": {
        "description": "Part of the name or the slug, in any case",
        "schema": {"type": "string", "maxLength": 200},
    },
    "status": {
        "description": "Only those that are shown with this status",
        "schema": {"type": "string", "enum": [status.value for status in Shown]},
    },
    "delivery_status": {
        "name": "status",
        "description": "Only those with this status",
        "schema": {"type": "string", "enum": [status.value for status in DeliveryStatus]},
    },
    "tag": {
        "description": "Only those with this tag",
        "schema": {"type": "string", "maxLength": 200},
    },
    "open": {
        "description": "Only those that are not closed",
        "schema": {"type": "string", "enum": ["true", "false"], "default": "false"},
    },
}

_PATH: Mapping[str, Json] = {
    "ref": {
        "description": "The id, or the uuid",
        "schema": {"oneOf": [_ID, {"type": "string", "format": "uuid"}]},
    },
    "channel_id": {"schema": _ID},
    "delivery_id": {"schema": _ID},
    "incident_id": {"schema": _ID},
}

_DESCRIPTION = """\
Everything that the pages can do. Send an API key as `Authorization: Bearer KEY` or as
`X-Api-Key: KEY`; a key with scope `read` may not change anything.

Lists are plain arrays, newest first. While there is more, a `Link` header with `rel="next"` leads to
the next page. Errors are problem details (RFC 9457) and name every offending field in `errors`.
Times are RFC 3339 in UTC, spans are seconds.
"""


def describe(app: Flask) -> Json:
    """Return the OpenAPI document for the routes of `app`."""
    paths: dict[str, Json] = {}
    for rule in app.url_map.iter_rules():
        operation = OPERATIONS.get(rule.endpoint)
        if operation is None:
            continue
        path = paths.setdefault(re.sub(r"<(\w+)>", r"{\1}", rule.rule), {})
        view = app.view_functions[rule.endpoint]
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            path[method.lower()] = _operation(rule, method, operation, view)
    for probe, (summary, operation) in PROBES.items():
        paths[probe] = {"get": _probe(probe, summary, operation)}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Heartbeat Central",
            "version": __version__,
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "apiKey": {"type": "apiKey", "in": "header", "name": "X-Api-Key"},
            },
        },
    }


def _operation(rule: Rule, method: str, operation: Operation, view: Callable[..., object]) -> Json:
    noun = rule.endpoint.split(".")[-2]
    summary = (view.__doc__ or rule.endpoint).strip().splitlines()[0].rstrip(".")
    described: Json = {
        "operationId": f"{noun}_{rule.endpoint.rpartition('.')[2].strip('_')}_{method.lower()}",
        "tags": [noun.replace("_", "-")],
        "summary": summary,
        "parameters": _parameters(rule, operation),
        "responses": _responses(method, operation),
        "security": [{"bearer": []}, {"apiKey": []}],
    }
    if operation.takes is not None:
        described["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": _ref(operation.takes)}},
        }
    return described


def _probe(path: str, summary: str, operation: Operation) -> Json:
    good: Json = {"description": HTTP_STATUS_CODES[200]}
    responses = {"200": good}
    if operation.gives is None:
        good["content"] = {"text/plain": {"schema": {"type": "string"}}}
    else:
        good["content"] = {"application/json": {"schema": _ref(operation.gives)}}
    if operation.gives is models.Health:
        responses["503"] = {**good, "description": "One of the parts fails"}
    return {
        "operationId": path.strip("/").replace("/", "_") + "_get",
        "tags": ["health"],
        "summary": summary,
        "parameters": [],
        "responses": responses,
        "security": [],
    }


def _parameters(rule: Rule, operation: Operation) -> list[Json]:
    in_path = [
        {"name": name, "in": "path", "required": True, **_PATH[name]}
        for name in sorted(rule.arguments)
    ]
    in_query = [{"name": name, "in": "query", **_QUERY[name]} for name in operation.query]
    return in_path + in_query


def _responses(method: str, operation: Operation) -> Json:
    good: Json = {"description": HTTP_STATUS_CODES[operation.status]}
    if operation.gives is not None:
        schema = _ref(operation.gives)
        if operation.many:
            schema = {"type": "array", "items": schema}
        good["content"] = {"application/json": {"schema": schema}}
    if operation.query:
        good["headers"] = {"Link": _header('Where the next page is, with `rel="next"`')}
    if operation.status == 201:
        good["headers"] = {"Location": _header("Where the new one is")}
    responses = {str(operation.status): good}
    for status in sorted({400, 401, 503, *operation.errors, *_by_method(method, operation)}):
        responses[str(status)] = {
            "description": HTTP_STATUS_CODES[status],
            "content": {_PROBLEM: {"schema": _ref(models.Problem)}},
        }
    return responses


def _by_method(method: str, operation: Operation) -> set[int]:
    writing = {403} if method != "GET" else set()
    return writing | ({413, 415, 422} if operation.takes is not None else set())


def _header(description: str) -> Json:
    return {"description": description, "schema": {"type": "string"}}


def _ref(model: type[BaseModel]) -> Json:
    return {"$ref": f"#/components/schemas/{model.__name__}"}


def _schemas() -> Json:
    used: dict[type[BaseModel], None] = {models.Problem: None}
    for operation in (*OPERATIONS.values(), *(one for _, one in PROBES.values())):
        used |= {model: None for model in (operation.takes, operation.gives) if model is not None}
    _, document = models_json_schema(
        [(model, "validation") for model in used], ref_template="#/components/schemas/{model}"
    )
    schemas: dict[str, Json] = document["$defs"]
    for name, schema in schemas.items():
        if name.endswith("Change"):
            # What is left out of a change stays as it is; it does not become a default.
            for field in schema["properties"].values():
                field.pop("default", None)
    return dict(sorted(schemas.items()))

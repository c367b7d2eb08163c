"""/api/applications."""

from functools import partial

from flask import Blueprint, Response, jsonify, url_for

from heartbeat_central.api import models
from heartbeat_central.api.auth import project_id
from heartbeat_central.api.context import context
from heartbeat_central.api.problems import BadRequest
from heartbeat_central.api.requests import (
    before_id,
    before_position,
    body_as,
    limit_of,
    no_body,
    page,
    query,
    reference,
)
from heartbeat_central.domain.application import settings_from
from heartbeat_central.domain.state import Shown
from heartbeat_central.domain.view import ApplicationView, incident_json
from heartbeat_central.services import manage_applications as use
from heartbeat_central.services.list_applications import list_applications
from heartbeat_central.services.read_history import (
    heartbeat_json,
    heartbeats_page,
    incidents_page,
)

blueprint = Blueprint("applications", __name__, url_prefix="/applications")


@blueprint.get("")
def list_() -> Response:
    """List applications, newest first."""
    values = query(("limit", "cursor", "search", "status", "tag"))
    limit = limit_of(values)
    now = context().clock()
    views = list_applications(
        context().database,
        project_id(),
        now=now,
        base_url=context().base_url,
        search=_text(values, "search"),
        status=_status(values.get("status")),
        tag=_text(values, "tag") or None,
        limit=limit + 1,
        before_id=before_id(values),
    )
    return page(
        views, limit=limit, as_json=lambda view: view.as_json(), position=lambda view: [view.id]
    )


@blueprint.post("")
def create() -> tuple[Response, int, dict[str, str]]:
    """Create an application."""
    new = body_as(
        models.NewApplication, partial(use.application_errors, context().database, project_id())
    )
    fields = new.model_dump(exclude={"channels", "is_active"})
    view = use.create_application(
        context().database,
        project_id(),
        settings_from(**fields),
        channels=new.channels,
        is_active=new.is_active,
        now=context().clock(),
        base_url=context().base_url,
    )
    context().doorbell()
    location = url_for("api.applications.show", ref=view.id)
    return jsonify(view.as_json()), 201, {"Location": location}


@blueprint.get("/<ref>")
def show(ref: str) -> Response:
    """Show one application."""
    query(())
    view = use.get_application(
        context().database,
        project_id(),
        reference(ref),
        now=context().clock(),
        base_url=context().base_url,
    )
    return jsonify(view.as_json())


@blueprint.route("/<ref>", methods=["PUT", "PATCH"])
def change(ref: str) -> Response:
    """Change the fields given."""
    place = reference(ref)
    rules = partial(use.application_errors, context().database, project_id(), ref=place)
    change = body_as(models.ApplicationChange, rules)
    view = use.change_application(
        context().database,
        project_id(),
        place,
        change.model_dump(exclude_unset=True),
        now=context().clock(),
        base_url=context().base_url,
    )
    return _changed(view)


@blueprint.delete("/<ref>")
def delete(ref: str) -> tuple[str, int]:
    """Delete an application."""
    use.delete_application(context().database, project_id(), reference(ref), now=context().clock())
    return "", 204


@blueprint.post("/<ref>/pause")
def pause(ref: str) -> Response:
    """Stop watching an application."""
    no_body()
    view = use.pause_application(
        context().database,
        project_id(),
        reference(ref),
        now=context().clock(),
        base_url=context().base_url,
    )
    return jsonify(view.as_json())


@blueprint.post("/<ref>/resume")
def resume(ref: str) -> Response:
    """Watch an application again."""
    no_body()
    view = use.resume_application(
        context().database,
        project_id(),
        reference(ref),
        now=context().clock(),
        base_url=context().base_url,
    )
    return _changed(view)


@blueprint.get("/<ref>/heartbeats")
def heartbeats(ref: str) -> Response:
    """List an application's signals, newest first."""
    values = query(("limit", "cursor"))
    limit = limit_of(values)
    rows = heartbeats_page(
        context().database,
        project_id(),
        reference(ref),
        limit=limit + 1,
        before=before_position(values),
    )
    return page(
        rows, limit=limit, as_json=heartbeat_json, position=lambda row: (row.received_at, row.id)
    )


@blueprint.get("/<ref>/incidents")
def incidents(ref: str) -> Response:
    """List an application's incidents, newest first."""
    values = query(("limit", "cursor"))
    limit = limit_of(values)
    rows = incidents_page(
        context().database,
        project_id(),
        ref=reference(ref),
        limit=limit + 1,
        before=before_position(values),
    )
    return page(
        rows, limit=limit, as_json=incident_json, position=lambda row: (row.opened_at, row.id)
    )


def _changed(view: ApplicationView) -> Response:
    context().doorbell()
    return jsonify(view.as_json())


def _status(text: str | None) -> Shown | None:
    if text is None:
        return None
    try:
        return Shown(text)
    except ValueError:
        known = ", ".join(status.value for status in Shown)
        raise BadRequest.one("status", f"must be one of {known}") from None


def _text(values: dict[str, str], name: str) -> str:
    text = values.get(name, "")
    if len(text) > 200 or "\x00" in text or any("\ud800" <= char <= "\udfff" for char in text):
        raise BadRequest.one(name, "must be text of at most 200 characters")
    return text

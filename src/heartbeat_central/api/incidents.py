"""/api/incidents."""

from flask import Blueprint, Response, jsonify

from heartbeat_central.api.auth import project_id
from heartbeat_central.api.context import context
from heartbeat_central.api.problems import BadRequest
from heartbeat_central.api.requests import before_position, identifier, limit_of, page, query
from heartbeat_central.domain.view import incident_json
from heartbeat_central.services.read_history import get_incident, incidents_page

blueprint = Blueprint("incidents", __name__, url_prefix="/incidents")


@blueprint.get("")
def list_() -> Response:
    """List incidents, newest first."""
    values = query(("limit", "cursor", "open"))
    limit = limit_of(values)
    if values.get("open", "false") not in ("true", "false"):
        raise BadRequest.one("open", "must be `true` or `false`")
    rows = incidents_page(
        context().database,
        project_id(),
        open_only=values.get("open") == "true",
        limit=limit + 1,
        before=before_position(values),
    )
    return page(
        rows, limit=limit, as_json=incident_json, position=lambda row: (row.opened_at, row.id)
    )


@blueprint.get("/<incident_id>")
def show(incident_id: str) -> Response:
    """Show one incident."""
    query(())
    incident = get_incident(context().database, project_id(), identifier(incident_id))
    return jsonify(incident_json(incident))

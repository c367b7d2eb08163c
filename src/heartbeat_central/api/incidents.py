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
        limit=limit,
        before=before_position(values),
    )
    last = (rows[-1].opened_at, rows[-1].id) if rows else None
    return page([incident_json(row) for row in rows], limit=limit, last=last)


@blueprint.get("/<incident_id>")
def show(incident_id: str) -> Response:
    """Show one incident."""
    query(())
    incident = get_incident(context().database, project_id(), identifier(incident_id))
    return jsonify(incident_json(incident))

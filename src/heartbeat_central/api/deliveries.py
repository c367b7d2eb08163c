"""/api/deliveries."""

from flask import Blueprint, Response

from heartbeat_central.api.auth import project_id
from heartbeat_central.api.context import context
from heartbeat_central.api.problems import BadRequest
from heartbeat_central.api.requests import before_id, limit_of, page, query
from heartbeat_central.services.read_history import project_deliveries_page
from heartbeat_central.storage.outbox import DeliveryStatus

blueprint = Blueprint("deliveries", __name__, url_prefix="/deliveries")


@blueprint.get("")
def list_() -> Response:
    """List the deliveries of all channels, newest first."""
    values = query(("limit", "cursor", "status"))
    limit = limit_of(values)
    rows = project_deliveries_page(
        context().database,
        project_id(),
        status=status_of(values),
        limit=limit + 1,
        before_id=before_id(values),
    )
    return page(rows, limit=limit, as_json=lambda row: row.as_json(), position=lambda row: [row.id])


def status_of(values: dict[str, str]) -> DeliveryStatus | None:
    """Return `status`, None when it is not given. Raises BadRequest when there is no such status."""
    if "status" not in values:
        return None
    try:
        return DeliveryStatus(values["status"])
    except ValueError:
        known = ", ".join(f"`{status.value}`" for status in DeliveryStatus)
        raise BadRequest.one("status", f"must be one of {known}") from None

"""/health for load balancers and /metrics for Prometheus. Both need no key and tell no names."""

from dataclasses import replace

import structlog
from flask import Blueprint, Response, jsonify
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, generate_latest

from heartbeat_central.api.context import context
from heartbeat_central.api.headers import unstored
from heartbeat_central.api.problems import answer
from heartbeat_central.services.check_health import Health, Part, check_health
from heartbeat_central.services.count_all import count_all

log = structlog.get_logger(__name__)

_DETAILS = {
    "database": "does not answer; the log tells why",
    "detector": "has not looked for silent applications lately; the log tells why",
    "outbox": "has not looked for alerts to send lately; the log tells why",
}

blueprint = Blueprint("health", __name__)
blueprint.register_error_handler(Exception, answer)
blueprint.after_request(unstored)


@blueprint.get("/health")
@blueprint.get("/health/ready", endpoint="ready")
def health() -> tuple[Response, int]:
    """Tell how database, detector and outbox are: 200, or 503 when one of them fails."""
    found = check_health(context().database, context().vitals, now=context().clock())
    for name, part in found.parts.items():
        if not part.ok:
            log.warning("unhealthy", part=name, reason=part.detail)
    return jsonify(_public(found).as_json()), 200 if found.ok else 503


@blueprint.get("/health/live")
def live() -> Response:
    """Tell that this process answers."""
    return jsonify({"status": "ok"})


@blueprint.get("/metrics")
def metrics() -> Response:
    """Give the figures of the whole service, from the database."""
    counts = count_all(context().database)
    registry = CollectorRegistry()
    applications = Gauge(
        "heartbeat_central_applications", "Applications", ["status"], registry=registry
    )
    for status, number in counts.applications.items():
        applications.labels(status).set(number)
    deliveries = Gauge("heartbeat_central_deliveries", "Deliveries", ["status"], registry=registry)
    for status, number in counts.deliveries.items():
        deliveries.labels(status).set(number)
    Gauge("heartbeat_central_open_incidents", "Open incidents", registry=registry).set(
        counts.open_incidents
    )
    return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


def _public(found: Health) -> Health:
    """Return what everyone may know: the driver's own words name the database's address."""
    return Health({name: _without_reason(name, part) for name, part in found.parts.items()})


def _without_reason(name: str, part: Part) -> Part:
    if part.detail is None:
        return part
    return replace(part, detail="failed once just now" if part.ok else _DETAILS[name])

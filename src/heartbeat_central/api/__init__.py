"""The REST API: one module a resource, one error format."""

from flask import Blueprint, Flask

from heartbeat_central.api import applications, channels, deliveries, incidents, reference
from heartbeat_central.api.auth import require_key
from heartbeat_central.api.context import ApiContext
from heartbeat_central.api.headers import unstored
from heartbeat_central.api.problems import answer

__all__ = ["answer", "is_api_path", "register_api"]


def register_api(app: Flask, context: ApiContext) -> None:
    """Put the API on `app`."""
    context.keep(app.extensions)
    keyed = Blueprint("api", __name__, url_prefix="/api")
    keyed.before_request(require_key)
    keyed.after_request(unstored)
    for part in (
        applications.blueprint,
        channels.blueprint,
        channels.plugins,
        deliveries.blueprint,
        incidents.blueprint,
    ):
        keyed.register_blueprint(part)
    keyed.register_error_handler(Exception, answer)
    for blueprint in (keyed, reference.blueprint):
        app.register_blueprint(blueprint)


def is_api_path(path: str) -> bool:
    """Return whether errors of this path are told as problems, not as pages."""
    return path == "/api" or path.startswith(
        ("/api/", "/health", "/metrics", "/heartbeat/", "/ping/")
    )

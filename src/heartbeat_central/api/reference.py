"""/api/openapi.json, and /api/docs that shows it to people. Both need no key."""

from pathlib import Path

from flask import Blueprint, Response, current_app, jsonify, send_from_directory

from heartbeat_central.api.openapi import describe
from heartbeat_central.api.problems import answer

blueprint = Blueprint("reference", __name__, url_prefix="/api")
blueprint.register_error_handler(Exception, answer)

_STATIC = Path(__file__).parent / "static"
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@blueprint.after_request
def one_date(response: Response) -> Response:
    """Leave the date to the server: `send_from_directory` adds one, and two are one too many."""
    response.headers.pop("Date", None)
    return response


@blueprint.get("/openapi.json")
def openapi() -> Response:
    """Describe the API."""
    return jsonify(describe(current_app))


@blueprint.get("/docs")
def docs() -> Response:
    """Show the description of the API, and let people try it with a key of theirs."""
    response = send_from_directory(_STATIC, "docs.html")
    response.headers["Content-Security-Policy"] = _POLICY
    return response


@blueprint.get("/docs/<path:name>")
def asset(name: str) -> Response:
    """Give a file that the page needs."""
    return send_from_directory(_STATIC, name, max_age=3600)

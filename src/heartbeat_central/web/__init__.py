"""The pages that people see: Flask blueprints over the services, and their static files."""

from datetime import timedelta

from flask import Blueprint, Flask

from heartbeat_central.web import (
    accounts,
    api_keys,
    applications,
    channels,
    dashboard,
    deliveries,
)
from heartbeat_central.web.context import WebContext
from heartbeat_central.web.problems import error_page
from heartbeat_central.web.query import ID, IdConverter
from heartbeat_central.web.rendering import prepare_templates
from heartbeat_central.web.security import protect_from_forgery, with_security_headers
from heartbeat_central.web.session import SESSION_COOKIE, require_sign_in

__all__ = ["SESSION_COOKIE", "error_page", "register_web"]


def register_web(app: Flask, context: WebContext) -> None:
    """Put the pages on `app`, whose SECRET_KEY must be set: it signs the forms' CSRF tokens."""
    context.keep(app.extensions)
    app.config.update(
        # Flask's own cookie holds the CSRF token and messages; who is signed in is in ours.
        SESSION_COOKIE_NAME="hbc_form",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_SECURE=context.is_https,
        PERMANENT_SESSION_LIFETIME=timedelta(days=30),
    )
    app.url_map.converters[ID] = IdConverter
    prepare_templates(app)
    web = Blueprint(
        "web",
        __name__,
        template_folder="templates",
        static_folder="static",
        static_url_path="/static",
    )
    web.before_request(protect_from_forgery(app))
    web.after_request(with_security_headers)
    web.register_error_handler(Exception, error_page)
    # Whoever makes the first account or signs in can't be signed in yet.
    web.register_blueprint(accounts.blueprint)
    private = Blueprint("private", __name__)
    private.before_request(require_sign_in)
    for part in (dashboard, applications, channels, deliveries, api_keys):
        private.register_blueprint(part.blueprint)
    web.register_blueprint(private)
    app.register_blueprint(web)

"""Builds everything from Settings: the only place where parts meet, and where the clock is read."""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, cast

from a2wsgi import WSGIMiddleware
from flask import Flask, request
from flask.typing import ResponseReturnValue
from pydantic import SecretStr
from werkzeug.exceptions import HTTPException

from heartbeat_central.alerts.base import Outbound, SmtpDefaults, TwilioDefaults
from heartbeat_central.alerts.http import HttpClient
from heartbeat_central.alerts.registry import Registry, build_registry
from heartbeat_central.api import answer as problem
from heartbeat_central.api import is_api_path, register_api
from heartbeat_central.api.context import ApiContext
from heartbeat_central.ingest import server
from heartbeat_central.ingest.batcher import Batcher
from heartbeat_central.ingest.clients import ClientAddress
from heartbeat_central.ingest.edge import AsgiApp, Edge
from heartbeat_central.ingest.live import LiveUpdates
from heartbeat_central.monitor.jobs import Monitor
from heartbeat_central.services.check_health import Vitals
from heartbeat_central.services.deliver_alerts import Sender
from heartbeat_central.services.fingerprint import fingerprint
from heartbeat_central.services.manage_accounts import session_user
from heartbeat_central.services.prune_history import make_room
from heartbeat_central.services.recorder import Recorder
from heartbeat_central.settings import Settings, resolve_secret_key
from heartbeat_central.storage import migrate
from heartbeat_central.storage.engine import Database, open_database
from heartbeat_central.storage.secrets import SecretBox
from heartbeat_central.storage.touches import open_touch_store
from heartbeat_central.web import SESSION_COOKIE, error_page, register_web
from heartbeat_central.web.context import WebContext

RENDER_THREADS = 8
"""Threads for pages and the REST API; few, because they share the interpreter with the edge."""
LARGEST_REQUEST = 2 * 1024 * 1024
"""Bytes that a page or the REST API accepts."""


def clock() -> datetime:
    """Return the time, UTC: the one clock of the service."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What several parts of the service share."""

    settings: Settings
    secret_key: str
    database: Database
    registry: Registry
    secret_box: SecretBox
    outbound: Outbound
    vitals: Vitals


def build(settings: Settings) -> Parts:
    """Return the parts of a service, with the schema up to date.

    Raises SettingsError, Invalid and StorageUnavailable.
    """
    secret_key = resolve_secret_key(settings)
    database = open_database(settings.database_url)
    migrate.upgrade(database)
    make_room(database, now=clock())
    return Parts(
        settings=settings,
        secret_key=secret_key,
        database=database,
        registry=build_registry(),
        secret_box=SecretBox([secret_key]),
        outbound=outbound(settings),
        vitals=Vitals(),
    )


def outbound(settings: Settings) -> Outbound:
    """Return what alert plugins may use to reach the world."""
    return Outbound(
        http=HttpClient(allow_private=settings.allow_private_targets),
        operator_http=HttpClient(allow_private=True),
        allow_private_targets=settings.allow_private_targets,
        smtp=SmtpDefaults(
            server=settings.smtp_server,
            port=settings.smtp_port,
            username=settings.smtp_username,
            password=_plain(settings.smtp_password),
            sender=settings.smtp_from,
        ),
        twilio=TwilioDefaults(
            account_sid=settings.twilio_account_sid,
            auth_token=_plain(settings.twilio_auth_token),
            from_number=settings.twilio_from_number,
            api_url=settings.twilio_api_url,
        ),
    )


def build_sender(settings: Settings, database: Database) -> Sender:
    """Return what sends alerts, for a command that sends one itself."""
    box = SecretBox([resolve_secret_key(settings)])
    return Sender(database, build_registry(), box, outbound(settings))


def serve(settings: Settings) -> None:
    """Run the whole service in this process until SIGTERM or SIGINT."""
    parts = build(settings)
    sender = Sender(parts.database, parts.registry, parts.secret_box, parts.outbound)
    monitor = _monitor(parts, sender)
    live = LiveUpdates(
        cookie_name=SESSION_COOKIE,
        project_of=partial(_project_of, parts.database),
        fingerprint=partial(fingerprint, parts.database),
    )
    edge = _edge(parts, sender, monitor, live)
    monitor.start()
    server.run(edge, host=settings.host, port=settings.port, on_stopping=live.close)


def _monitor(parts: Parts, sender: Sender) -> Monitor:
    def report(job: str, at: datetime, problem: str | None) -> None:
        if problem is None:
            parts.vitals.ok(job, at)
        else:
            parts.vitals.failed(job, problem)

    return Monitor(
        database=parts.database,
        sender=sender,
        clock=clock,
        base_url=parts.settings.base_url,
        check_interval=parts.settings.check_interval,
        retention_days=parts.settings.retention_days,
        report=report,
    )


def _edge(parts: Parts, sender: Sender, monitor: Monitor, live: LiveUpdates) -> AsgiApp:
    base_url = parts.settings.base_url
    # A connection of its own on PostgreSQL: busy pages and senders must not make heartbeats wait.
    # SQLite has one writer, so that there they share one lock instead.
    database = parts.database
    if database.dialect == "postgresql":
        database = open_database(parts.settings.database_url, pool_size=1)
    touches = open_touch_store(database)
    recorder = Recorder(database, touches, base_url=base_url)
    batcher = Batcher(lambda signals: recorder.record(signals, now=clock()), on_wake=monitor.ring)

    def stop() -> None:
        monitor.stop()
        touches.close()
        database.close()
        parts.database.close()

    return Edge(
        batcher=batcher,
        clock=clock,
        body_limit=parts.settings.body_limit,
        client_address=ClientAddress(parts.settings.trusted_proxies),
        live=live,
        rest=_asgi(_flask(parts, sender, monitor)),
        on_stop=stop,
    )


def _asgi(app: Flask) -> AsgiApp:
    # The two libraries spell the types of WSGI and ASGI in ways that no checker can match.
    return cast("AsgiApp", WSGIMiddleware(cast("Any", app), workers=RENDER_THREADS))


def _flask(parts: Parts, sender: Sender, monitor: Monitor) -> Flask:
    app = Flask("heartbeat_central", static_folder=None)
    app.config.update(SECRET_KEY=parts.secret_key, MAX_CONTENT_LENGTH=LARGEST_REQUEST)
    base_url = parts.settings.base_url
    register_api(
        app,
        ApiContext(
            sender=sender,
            base_url=base_url,
            clock=clock,
            vitals=parts.vitals,
            doorbell=monitor.ring,
        ),
    )
    register_web(
        app,
        WebContext(
            sender=sender,
            base_url=base_url,
            secret_key=parts.secret_key,
            clock=clock,
            doorbell=monitor.ring,
        ),
    )

    @app.errorhandler(HTTPException)
    def unmatched(error: HTTPException) -> ResponseReturnValue:
        # What no blueprint took: told as a problem to programs and as a page to people.
        return problem(error) if is_api_path(request.path) else error_page(error)

    return app


def _project_of(database: Database, token: str) -> int | None:
    user = session_user(database, token, now=clock())
    return None if user is None else user.project_id


def _plain(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()

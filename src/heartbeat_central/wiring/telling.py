"""What notices and tells."""

from collections.abc import Collection
from functools import partial

from pydantic import SecretStr

from heartbeat_central.alerts.base import Outbound, SmtpDefaults, TwilioDefaults
from heartbeat_central.alerts.http import HttpClient
from heartbeat_central.alerts.registry import build_registry
from heartbeat_central.domain.work import Work
from heartbeat_central.monitor.jobs import Monitor, ProvenUntil
from heartbeat_central.services.call_watchdog import Watchdog
from heartbeat_central.services.check_health import check_all
from heartbeat_central.services.deliver_alerts import Sender
from heartbeat_central.services.reach_out import reach_check
from heartbeat_central.settings import Settings, resolve_secret_key
from heartbeat_central.storage.engine import Database, open_database
from heartbeat_central.storage.secrets import SecretBox
from heartbeat_central.wiring.parts import Parts, clock, report_to

PATIENCE = 4.0
"""Seconds for a statement of the monitor on PostgreSQL."""


def build_sender(settings: Settings, database: Database) -> Sender:
    """Return what sends alerts."""
    box = SecretBox([resolve_secret_key(settings)])
    return Sender(database, build_registry(), box, _outbound(settings))


def monitor_database(parts: Parts) -> Database:
    """Return the database that the monitor works with.

    On PostgreSQL it has connections of its own, which give up sooner than others: what notices and tells
    are short statements, and one that hangs would keep everybody from being told.
    """
    if parts.database.dialect == "postgresql":
        return open_database(parts.settings.database_url, pool_size=5, patience=PATIENCE)
    return parts.database


def build_monitor(
    parts: Parts,
    database: Database,
    sender: Sender,
    proven_until: ProvenUntil,
    does: Collection[Work],
) -> Monitor:
    """Return the monitor, not yet started."""
    watchdog = None
    if parts.settings.watchdog_url is not None:
        watchdog = Watchdog(
            # The operator chose the address: it may well be in the own network.
            sender.outbound.operator_http,
            parts.settings.watchdog_url.get_secret_value(),
            check=lambda: check_all(database, parts.vitals, now=clock(), does=does),
        )
    return Monitor(
        database=database,
        unhurried=parts.database,
        sender=sender,
        clock=clock,
        proven_until=proven_until,
        base_url=parts.settings.base_url,
        check_interval=parts.settings.check_interval,
        retention_days=parts.settings.retention_days,
        reaches_out=reach_check(sender.outbound.operator_http, parts.settings.reach_check_url),
        report=partial(report_to, parts.vitals),
        on_waiting=partial(parts.vitals.waits, "tell"),
        watchdog=watchdog,
        metrics=parts.metrics,
    )


def _outbound(settings: Settings) -> Outbound:
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


def _plain(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()

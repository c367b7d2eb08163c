"""Checks of the machine and the network: folder, port, mail server, watchdog."""

import http.client
import json
import smtplib
import socket
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from heartbeat_central.cli.checks.check import Check, CheckId, State
from heartbeat_central.cli.failures import CannotListen
from heartbeat_central.cli.listening import check_port
from heartbeat_central.settings import Settings, SettingsError, ensure_data_dir

PATIENCE = 5.0
"""Seconds to wait for an answer over the network."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a running service says of itself."""

    status: int
    failing: tuple[str, ...]
    """The parts that don't work."""


def data_folder(settings: Settings) -> Check:
    """Return whether what is kept in files can be."""
    if settings.database is not None and settings.secret_key is not None:
        return Check(
            CheckId.DATA_FOLDER, State.OK, "Not needed: DATABASE_URL and SECRET_KEY are set."
        )
    if not settings.data_dir.exists():
        return Check(
            CheckId.DATA_FOLDER, State.NOTE, f"{settings.data_dir} is made at the first start."
        )
    try:
        ensure_data_dir(settings)
    except SettingsError as error:
        return Check(CheckId.DATA_FOLDER, State.FAILED, str(error), "mend its owner and mode")
    return Check(CheckId.DATA_FOLDER, State.OK, f"{settings.data_dir} can be written.")


def ask_health(settings: Settings) -> Answer | None:
    """Return what our own service says at its address; None when something else, or nobody, answers."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104
    connection = http.client.HTTPConnection(host, settings.port, timeout=PATIENCE)
    try:
        connection.request("GET", "/health")
        answer = connection.getresponse()
        told = json.loads(answer.read(65_536))
        parts = {name: part for name, part in told.items() if name != "status"}
        if "detector" not in parts:
            return None
        failing = tuple(name for name, part in parts.items() if part["status"] == "failing")
        return Answer(answer.status, failing)
    except (OSError, http.client.HTTPException, ValueError, TypeError, KeyError, AttributeError):
        # Whoever it is, it isn't ours.
        return None
    finally:
        connection.close()


def port(settings: Settings, health: Answer | None) -> Check:
    """Return whether the service runs and is healthy, or could be started."""
    where = f"{settings.host} port {settings.port}"
    if health is not None and health.status == 200:
        return Check(CheckId.PORT, State.OK, f"The service is running on {where} and healthy.")
    if health is not None:
        broken = ", ".join(health.failing) or "not healthy"
        return Check(
            CheckId.PORT,
            State.FAILED,
            f"The service is running on {where} and says what fails: {broken}.",
            "its log tells why",
        )
    try:
        check_port(settings.host, settings.port)
    except CannotListen as error:
        return Check(CheckId.PORT, State.FAILED, str(error), "free it, or choose another")
    return Check(CheckId.PORT, State.OK, f"{where} is free; the service is not running here.")


def private_targets(settings: Settings) -> Check:
    """Return whether channels may call into the own network."""
    if settings.allow_private_targets:
        return Check(
            CheckId.PRIVATE_TARGETS,
            State.NOTE,
            "Channels may reach private addresses.",
            "unset HEARTBEAT_ALLOW_PRIVATE_TARGETS unless you trust all who may add channels",
        )
    return Check(CheckId.PRIVATE_TARGETS, State.OK, "Channels may not reach private addresses.")


def mail_server(settings: Settings) -> Check:
    """Return whether the mail server answers as one."""
    assert settings.smtp_server is not None
    where = f"{settings.smtp_server} port {settings.smtp_port}"
    connect: Callable[..., smtplib.SMTP] = smtplib.SMTP
    if settings.smtp_port == 465:
        connect = smtplib.SMTP_SSL
    try:
        with connect(settings.smtp_server, settings.smtp_port, timeout=PATIENCE) as server:
            server.noop()
    except (OSError, smtplib.SMTPException) as error:
        return Check(
            CheckId.MAIL_SERVER,
            State.FAILED,
            f"{where} does not answer as a mail server ({error}).",
            "correct SMTP_SERVER and SMTP_PORT, or open the way through the firewall",
        )
    if settings.smtp_from is None and settings.smtp_username is None:
        return Check(
            CheckId.MAIL_SERVER,
            State.NOTE,
            f"{where} answers, but mails have no sender.",
            "set SMTP_FROM",
        )
    return Check(CheckId.MAIL_SERVER, State.OK, f"{where} answers.")


def watchdog(settings: Settings) -> Check:
    """Return whether the watchdog's address can be reached. A call would say that all is well."""
    if settings.watchdog_url is None:
        return Check(
            CheckId.WATCHDOG,
            State.NOTE,
            "Nobody notices when this service itself falls silent.",
            "set WATCHDOG_URL: docs/howto/watch-the-watcher.md",
        )
    # Without its path, which lets whoever knows it call.
    address = urlsplit(settings.watchdog_url.get_secret_value())
    host = address.hostname or ""
    number = address.port or (443 if address.scheme == "https" else 80)
    try:
        socket.create_connection((host, number), PATIENCE).close()
    except OSError as error:
        return Check(
            CheckId.WATCHDOG,
            State.FAILED,
            f"{host} port {number} can't be reached ({error}).",
            "correct WATCHDOG_URL, or open the way through the firewall",
        )
    return Check(CheckId.WATCHDOG, State.OK, f"{host} port {number} can be reached.")

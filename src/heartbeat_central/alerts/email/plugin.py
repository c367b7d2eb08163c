"""Alerts as e-mail."""

from dataclasses import dataclass
from email.message import EmailMessage
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr, ValidationInfo, field_validator

from heartbeat_central.alerts.base import AlertPlugin, Outbound, PluginConfig, SmtpDefaults
from heartbeat_central.alerts.email import addresses
from heartbeat_central.alerts.email.message import build_message
from heartbeat_central.alerts.email.smtp import (
    IMPLICIT_TLS_PORT,
    Conversation,
    Login,
    Mail,
    converse,
    explained,
)
from heartbeat_central.alerts.sockets import Deadline
from heartbeat_central.alerts.targets import Targets
from heartbeat_central.domain.alert import Envelope
from heartbeat_central.domain.errors import PermanentFailure

DEFAULT_PORT = 587
"""Submission (RFC 6409)."""


def _recipients(value: str) -> str:
    addresses.recipients(value)
    return value


def _server(value: str) -> str:
    addresses.parse_server(value)
    return value


class EmailConfig(PluginConfig):
    """Who gets the mail, and through which server when not the operator's."""

    to_email: Annotated[str, AfterValidator(_recipients)] = Field(
        title="To",
        description="One address, or several separated by commas.",
        examples=["ops@example.com"],
    )
    smtp_server: Annotated[str, AfterValidator(_server)] | None = Field(
        default=None,
        title="Mail server",
        description="Empty: the server set by the operator. `smtps://…` speaks TLS at once.",
        examples=["smtp.example.com"],
    )
    smtp_port: int | None = Field(
        default=None,
        ge=1,
        le=65535,
        title="Port",
        description="587 when empty; 465 speaks TLS at once.",
        examples=[587],
    )
    username: str | None = Field(
        default=None,
        title="User name",
        description="Empty: no login to this mail server.",
        examples=["alerts@example.com"],
    )
    password: SecretStr | None = Field(
        default=None,
        validate_default=True,
        title="Password",
        description="Sent only through TLS.",
    )

    @field_validator("smtp_port")
    @classmethod
    def _port_of_a_server(cls, port: int | None, info: ValidationInfo) -> int | None:
        if port is not None and "smtp_server" in info.data and info.data["smtp_server"] is None:
            raise ValueError("needs `smtp_server` as well")
        return port

    @field_validator("password")
    @classmethod
    def _both_or_none(cls, password: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        username = info.data.get("username")
        if "username" in info.data and (username is None) != (password is None):
            raise ValueError("and `username` must be given together, or neither")
        return password


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """The server to use, with its login."""

    server: addresses.Server
    port: int
    login: Login | None
    targets: Targets


class EmailPlugin(AlertPlugin[EmailConfig]):
    """Sends a text and HTML mail through the channel's server, else the operator's."""

    type = "email"
    label = "E-mail"
    summary = "Sends an e-mail through your mail server."
    Config = EmailConfig

    def build(
        self, envelope: Envelope, config: EmailConfig, smtp: SmtpDefaults | None = None
    ) -> EmailMessage:
        """Return the message; its sender is the channel's user name when that is an address."""
        smtp = smtp or SmtpDefaults()
        own = config.username if config.smtp_server else None
        return build_message(
            envelope,
            sender=addresses.sender_of(own, smtp.sender, smtp.username),
            recipients=addresses.recipients(config.to_email),
        )

    def send(self, envelope: Envelope, config: EmailConfig, outbound: Outbound) -> str:
        """Hand the mail over; done when the server has taken it."""
        deadline = Deadline(outbound.timeout)
        message = self.build(envelope, config, outbound.smtp)
        mail = Mail(
            sender=addresses.sender_of(str(message["From"]))[1],
            recipients=addresses.recipients(config.to_email),
            content=bytes(message),
        )
        route = route_of(config, outbound)
        checked = route.targets.addresses(route.server.host, deadline)
        smtp: Conversation | None = None
        try:
            smtp = Conversation(
                host=route.server.host,
                port=route.port,
                addresses=checked,
                implicit_tls=route.server.implicit_tls or route.port == IMPLICIT_TLS_PORT,
                login=route.login,
                tls=outbound.mail_tls,
                deadline=deadline,
            )
            said = converse(smtp, mail, attempt=envelope.attempt)
            smtp.putcmd("quit")
        except Exception as error:
            secrets = [route.login.password] if route.login else []
            raise explained(
                error, server=route.server.host, deadline=deadline, secrets=secrets
            ) from error
        finally:
            if smtp is not None:
                smtp.close()
        return said


def route_of(config: EmailConfig, outbound: Outbound) -> Route:
    """Return how the mail travels. Raises PermanentFailure when no server is set anywhere.

    The operator's password goes to the operator's server only, and only that one may be private.
    """
    password = config.password.get_secret_value() if config.password else None
    login = _login(config.username, password)
    if config.smtp_server is not None:
        return Route(
            server=addresses.parse_server(config.smtp_server),
            port=config.smtp_port or DEFAULT_PORT,
            login=login,
            targets=outbound.http.targets,
        )
    smtp = outbound.smtp
    if not smtp.server:
        raise PermanentFailure(
            "no mail server: give the channel an `smtp_server`, or let the operator set SMTP_SERVER"
        )
    try:
        server = addresses.parse_server(smtp.server)
    except ValueError as error:
        raise PermanentFailure(f"SMTP_SERVER {error}") from None
    return Route(
        server=server,
        port=smtp.port,
        login=login or _login(smtp.username, smtp.password),
        targets=outbound.operator_http.targets,
    )


def _login(username: str | None, password: str | None) -> Login | None:
    return Login(username=username, password=password) if username and password else None

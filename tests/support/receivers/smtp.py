"""A mail server that records what it gets and refuses what it is told to."""

import ssl
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import default
from types import TracebackType
from typing import Any, Self

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session


@dataclass(frozen=True)
class Mail:
    """One accepted message."""

    sender: str
    recipients: list[str]
    content: bytes = field(repr=False)
    encrypted: bool
    username: str | None

    @property
    def message(self) -> EmailMessage:
        parsed = BytesParser(policy=default).parsebytes(self.content)
        assert isinstance(parsed, EmailMessage)
        return parsed


@dataclass
class Refusals:
    """Replies to give instead of the usual ones; `recipients` maps an address to its reply."""

    mail: str | None = None
    recipients: dict[str, str] = field(default_factory=dict)
    data: str | None = None
    login: str | None = None
    drop_after_data: bool = False


class SmtpReceiver:
    """Listens on a free port of 127.0.0.1; use it as a context manager."""

    def __init__(
        self,
        *,
        starttls: ssl.SSLContext | None = None,
        implicit_tls: ssl.SSLContext | None = None,
        login: tuple[str, str] | None = None,
        refuse: Refusals | None = None,
    ) -> None:
        self.mails: list[Mail] = []
        self.login_attempts: list[tuple[str, bool]] = []
        """User name, and whether the connection was encrypted."""
        self.refuse = refuse or Refusals()
        self._login = login
        options: dict[str, Any] = {"tls_context": starttls, "auth_require_tls": False}
        if login is not None:
            options["authenticator"] = self._authenticate
        self._controller = Controller(
            self, hostname="127.0.0.1", port=0, ssl_context=implicit_tls, **options
        )
        self.port = 0

    def __enter__(self) -> Self:
        # aiosmtpd's own check connects to the port it was given, which is 0 here.
        self._controller._trigger_server = lambda: None  # type: ignore[method-assign]
        self._controller.start()
        assert self._controller.server is not None
        self.port = self._controller.server.sockets[0].getsockname()[1]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._controller.stop()

    async def handle_MAIL(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.refuse.mail:
            return self.refuse.mail
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        refusal = self.refuse.recipients.get(address)
        if refusal:
            return refusal
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if self.refuse.data:
            return self.refuse.data
        assert isinstance(envelope.content, bytes)
        encrypted = session.ssl is not None or isinstance(
            server.transport.get_extra_info("ssl_object"), ssl.SSLObject
        )
        username = session.auth_data.decode() if session.authenticated else None
        assert envelope.mail_from is not None
        self.mails.append(
            Mail(envelope.mail_from, envelope.rcpt_tos, envelope.content, encrypted, username)
        )
        if self.refuse.drop_after_data:
            server.transport.abort()
        return "250 2.0.0 queued as 4711"

    def _authenticate(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any
    ) -> AuthResult:
        assert isinstance(data, LoginPassword)
        pair = (data.login.decode(), data.password.decode())
        self.login_attempts.append((pair[0], session.ssl is not None))
        if self.refuse.login:
            return AuthResult(success=False, handled=False, message=self.refuse.login)
        return AuthResult(success=pair == self._login, handled=False, auth_data=data.login)

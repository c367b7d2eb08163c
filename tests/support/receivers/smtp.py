"""A mail server that records what it gets and refuses what it is told to."""

import asyncio
import socket
import ssl
import threading
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import default
from types import TracebackType
from typing import Any, Self

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
        # Without a login none is offered, which aiosmtpd does only by asking for TLS first.
        self._options: dict[str, Any] = {
            "tls_context": starttls,
            "auth_require_tls": login is None,
        }
        if login is not None:
            self._options["authenticator"] = self._authenticate
        self._implicit_tls = implicit_tls
        self._loop = asyncio.new_event_loop()
        self._running = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._running.wait(5)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)

    def _run(self) -> None:
        # aiosmtpd's own Controller wants to know its port before it listens.
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(
            self._loop.create_server(
                lambda: SMTP(self, loop=self._loop, **self._options),
                sock=self._listener,
                ssl=self._implicit_tls,
            )
        )
        self._loop.call_soon(self._running.set)
        self._loop.run_forever()
        server.close()
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

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
        assert server.transport is not None
        encrypted = session.ssl is not None or isinstance(
            server.transport.get_extra_info("ssl_object"), ssl.SSLObject
        )
        # Told to be None by its type, and the bytes of the login once there was one.
        login: Any = session.auth_data
        username = login.decode() if session.authenticated else None
        assert envelope.mail_from is not None
        self.mails.append(
            Mail(envelope.mail_from, envelope.rcpt_tos, envelope.content, encrypted, username)
        )
        if self.refuse.drop_after_data:
            assert isinstance(server.transport, asyncio.Transport)
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

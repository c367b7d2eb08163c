"""One conversation with a mail server: who may see what, and what its replies mean."""

import ipaddress
import re
import smtplib
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field

from heartbeat_central.alerts.outcome import redacted
from heartbeat_central.alerts.sockets import (
    Deadline,
    TimedSocket,
    TimedTlsSocket,
    connect,
    unverified_tls_context,
)
from heartbeat_central.alerts.words import excerpt
from heartbeat_central.domain.errors import DeliveryFailure, PermanentFailure, TemporaryFailure

IMPLICIT_TLS_PORT = 465
PATIENT_ATTEMPTS = 3
"""Attempts in which all recipients wait for one whom the server refuses only for now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """What the server is told to let us in."""

    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """A message in its envelope."""

    sender: str
    recipients: Sequence[str]
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Security:
    """How a connection must be protected."""

    must_encrypt: bool
    must_verify: bool


def security(*, implicit_tls: bool, has_login: bool, loopback: bool) -> Security:
    """Return what a connection needs.

    A password goes only through TLS with a verified certificate, except to this very machine, where
    nobody is in between. Without one STARTTLS is used when it is offered, whatever the certificate:
    whoever could forge it could as well hide the offer (RFC 7435, opportunistic security).
    """
    if loopback:
        return Security(must_encrypt=implicit_tls, must_verify=False)
    return Security(must_encrypt=implicit_tls or has_login, must_verify=implicit_tls or has_login)


class Conversation(smtplib.SMTP):
    """smtplib's client on a connection to a checked address, under one deadline."""

    def __init__(
        self,
        *,
        host: str,
        port: int,
        addresses: Sequence[str],
        implicit_tls: bool,
        login: Login | None,
        tls: ssl.SSLContext,
        deadline: Deadline,
    ) -> None:
        """Connect and greet. Raises what smtplib raises."""
        self._server = host
        self._addresses = addresses
        self._implicit_tls = implicit_tls
        self._login = login
        self._tls = tls
        self._deadline = deadline
        # A local name is given because smtplib would else ask the name server for one.
        super().__init__(host, port, local_hostname=_own_name(), timeout=deadline.left())

    def protect(self) -> None:
        """Start TLS when the server offers it, and log in. Raises PermanentFailure instead of
        showing a password to the network."""
        self.ehlo_or_helo_if_needed()
        if not self._implicit_tls and self.has_extn("starttls"):
            code, reply = self.docmd("STARTTLS")
            if code != 220:
                raise smtplib.SMTPResponseException(code, reply)
            assert self.sock is not None
            self.sock = self._wrapped(self.sock)
            self.file = None
            # What came in before TLS counts for nothing (RFC 3207, 4.2).
            self.helo_resp = self.ehlo_resp = None
            self.esmtp_features = {}
            self.does_esmtp = False
            self.ehlo_or_helo_if_needed()
        if self._security.must_encrypt and not isinstance(self.sock, ssl.SSLSocket):
            raise PermanentFailure(
                f"{self._server} offers no encryption (STARTTLS), so the password was not sent"
            )
        if self._login is not None:
            self.login(self._login.username, self._login.password)

    def _get_socket(self, host: str, port: int, timeout: float) -> TimedSocket | TimedTlsSocket:
        sock = connect(self._addresses, port, self._deadline)
        self._security = security(
            implicit_tls=self._implicit_tls,
            has_login=self._login is not None,
            loopback=ipaddress.ip_address(sock.getpeername()[0]).is_loopback,
        )
        return self._wrapped(sock) if self._implicit_tls else sock

    def _wrapped(self, sock: socket.socket) -> TimedTlsSocket:
        context = self._tls if self._security.must_verify else unverified_tls_context()
        try:
            sock.settimeout(self._deadline.left())
            wrapped = context.wrap_socket(sock, server_hostname=self._server)
        except BaseException:
            sock.close()
            raise
        assert isinstance(wrapped, TimedTlsSocket)
        wrapped.deadline = self._deadline
        return wrapped


def converse(smtp: Conversation, mail: Mail, *, attempt: int) -> str:
    """Hand `mail` over and return the server's words. Raises DeliveryFailure, or what smtplib does.

    A recipient whom the server refuses for good does not keep the others from their mail; the
    delivery then fails for good and names the one. One whom it refuses for now holds all up for a
    few attempts, so that nobody gets the mail twice; after those the others go first.
    """
    smtp.protect()
    _expect(*smtp.mail(mail.sender), stage="refused the sender")
    refused: dict[str, tuple[int, bytes]] = {}
    for recipient in mail.recipients:
        code, reply = smtp.rcpt(recipient)
        if code not in (250, 251):
            refused[recipient] = (code, reply)
    waiting = any(code < 500 for code, _ in refused.values())
    if len(refused) == len(mail.recipients) or (waiting and attempt <= PATIENT_ATTEMPTS):
        raise _refusal(refused)
    code, reply = smtp.data(mail.content)
    _expect(code, reply, stage="refused the message")
    if refused:
        raise PermanentFailure(f"sent, but not to all: {_refusal(refused)}")
    return f"{code} {excerpt(reply)}"


def _expect(code: int, reply: bytes, *, stage: str) -> None:
    if code != 250:
        raise failure_of(code, reply, stage=stage)


def failure_of(code: int, reply: bytes, *, stage: str) -> DeliveryFailure:
    """Return what a refusal means: 5yz is for good, all else may pass (RFC 5321, 4.2.1)."""
    message = f"the mail server {stage}: {code} {excerpt(reply)}"
    return PermanentFailure(message) if 500 <= code <= 599 else TemporaryFailure(message)


def _refusal(refused: dict[str, tuple[int, bytes]]) -> DeliveryFailure:
    """Return the failure for recipients: temporary as soon as one may be accepted later."""
    code = min(code for code, _ in refused.values())
    words = "; ".join(
        f"{recipient}: {code} {excerpt(reply)}" for recipient, (code, reply) in refused.items()
    )
    message = f"the mail server refused {words}"
    return PermanentFailure(message) if code >= 500 else TemporaryFailure(message)


def _own_name() -> str:
    """Return what to say in EHLO: the host's full name, else an address literal (RFC 5321, 4.1.4)."""
    name = socket.gethostname()
    return name if re.fullmatch(r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+", name) else "[127.0.0.1]"


def explained(
    error: Exception, *, server: str, deadline: Deadline, secrets: Sequence[str]
) -> DeliveryFailure:
    """Return the failure for what smtplib or the network raised."""
    match error:
        case DeliveryFailure():
            return error
        case smtplib.SMTPResponseException():
            reply = error.smtp_error
            said = reply if isinstance(reply, bytes) else str(reply).encode()
            stage = (
                "refused the login"
                if isinstance(error, smtplib.SMTPAuthenticationError)
                else "said"
            )
            failure = failure_of(error.smtp_code, said, stage=stage)
            return type(failure)(redacted(str(failure), secrets))
        case smtplib.SMTPNotSupportedError():
            return PermanentFailure(f"{server} takes no login; leave user name and password empty")
        case UnicodeError():
            return PermanentFailure("user name and password must be ASCII text")
        case ssl.SSLCertVerificationError():
            return TemporaryFailure(
                f"the certificate of {server} was not accepted ({error.verify_message})"
            )
        case _ if isinstance(error, TimeoutError) or isinstance(error.__context__, TimeoutError):
            return TemporaryFailure(f"{server} did not answer within {deadline.seconds:g} s")
        case smtplib.SMTPServerDisconnected():
            return TemporaryFailure(f"{server} closed the connection")
        case OSError():
            return TemporaryFailure(
                f"no connection to {server}: {error.strerror or type(error).__name__}"
            )
    return TemporaryFailure(f"{server} is no mail server that can be understood")

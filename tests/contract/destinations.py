"""Each plugin with a local receiver for it, behind one interface for the contract suite.

A receiver misbehaves in a way that has a name. The HTTP plugins share one receiver; e-mail has its
own, with the nearest thing that SMTP knows.
"""

import base64
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qs

from heartbeat_central.alerts.base import Outbound, TwilioDefaults
from tests.support.receivers import http, smtp
from tests.support.receivers.certificates import Certificates
from tests.support.receivers.http import HttpReceiver, respond
from tests.support.receivers.tcp import Scripted, TcpReceiver, hang, reset

TOKEN = "t0k3n-8d1f6a2c"
"""Stands in every place where a configuration can hold a secret."""


@dataclass
class Running:
    """A receiver, and what a channel needs to reach it."""

    config: dict[str, Any]
    outbound: Outbound
    texts: Callable[[], list[str]]
    """What arrived, decoded: one text for each message, with all that people would see."""


class Destination(ABC):
    """One plugin under test."""

    type: str
    permanent_is_known = True
    """Whether the plugin can tell a refusal for good from another."""
    target_is_the_operators = False
    """Whether the operator chooses where it sends, and not who makes a channel."""

    @abstractmethod
    def behaving(
        self, behaviour: str, outbound: Outbound, certificates: Certificates
    ) -> AbstractContextManager[Running]:
        """Run a receiver that behaves so: see the names in BEHAVIOURS."""


HTTP_BEHAVIOURS: dict[str, http.Answer] = {
    "accepts": respond(),
    "refuses for good": respond(404, b"no such hook"),
    "refuses for now": respond(503, b"try later"),
    "resets": http.resets,
    "hangs": http.hangs,
    "drips": http.drips_headers,
    "accepts without end": http.endless_body(200),
    "refuses without end": http.endless_body(500),
    "babbles": http.raw(b"SSH-2.0-OpenSSH_9.6\r\n"),
    "redirects": http.redirects(302),
    "limits, in seconds": respond(429, b"slow down", {"Retry-After": "77"}),
    "limits, with a date": respond(
        429,
        b"slow down",
        {
            "Date": "Mon, 23 Nov 2026 10:00:00 GMT",
            "Retry-After": "Mon, 23 Nov 2026 10:01:17 GMT",
        },
    ),
}


class HttpDestination(Destination):
    """A plugin that posts to a URL."""

    def __init__(
        self,
        type_: str,
        config: Callable[[HttpReceiver], dict[str, Any]],
        text: Callable[[bytes], str],
        *,
        permanent_is_known: bool = True,
        target_is_the_operators: bool = False,
    ) -> None:
        self.type = type_
        self.permanent_is_known = permanent_is_known
        self.target_is_the_operators = target_is_the_operators
        self._config = config
        self._text = text

    @contextmanager
    def behaving(
        self, behaviour: str, outbound: Outbound, certificates: Certificates
    ) -> Iterator[Running]:
        if behaviour == "stalls in TLS":
            with Scripted(hang) as stalled:
                receiver = HttpReceiver(tls=certificates.server_context())
                with receiver:
                    receiver.port, real = stalled.port, receiver.port
                    yield self._running(receiver, outbound)
                    receiver.port = real
            return
        answer = echo if behaviour == "echoes" else HTTP_BEHAVIOURS[behaviour]
        with HttpReceiver(answer) as receiver:
            yield self._running(receiver, outbound)

    def _running(self, receiver: HttpReceiver, outbound: Outbound) -> Running:
        twilio = TwilioDefaults(api_url=receiver.url)
        return Running(
            config=self._config(receiver),
            outbound=replace(outbound, twilio=twilio),
            texts=lambda: [self._text(request.body) for request in receiver.requests],
        )


def echo(receiver: HttpReceiver, connection: Any) -> bool:
    """Refuse with an answer that repeats all that was sent, credentials in the clear as well."""
    request = receiver.requests[-1]
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    decoded = base64.b64decode(token).decode() if scheme == "Basic" else ""
    said = f"{decoded} {request.target} {request.header_lines}".encode()
    return respond(400, said)(receiver, connection)


class EmailDestination(Destination):
    """The e-mail plugin."""

    type = "email"

    @contextmanager
    def behaving(
        self, behaviour: str, outbound: Outbound, certificates: Certificates
    ) -> Iterator[Running]:
        raw = RAW_SMTP_BEHAVIOURS.get(behaviour)
        if raw is not None:
            with Scripted(raw) as scripted:
                yield Running(self._config(scripted.port), outbound, list)
            return
        with smtp.SmtpReceiver(
            login=("ops@example.com", TOKEN), refuse=SMTP_REFUSALS[behaviour]
        ) as receiver:
            yield Running(
                self._config(receiver.port),
                outbound,
                lambda: [readable(mail) for mail in receiver.mails],
            )

    def _config(self, port: int) -> dict[str, Any]:
        return {
            "to_email": "dev@example.com",
            "smtp_server": "127.0.0.1",
            "smtp_port": port,
            "username": "ops@example.com",
            "password": TOKEN,
        }


SMTP_REFUSALS = {
    "accepts": smtp.Refusals(),
    "refuses for good": smtp.Refusals(recipients={"dev@example.com": "550 no such user"}),
    "refuses for now": smtp.Refusals(data="451 disk full"),
    "echoes": smtp.Refusals(login=f"535 wrong password {TOKEN}"),
}


def stall_in_tls(receiver: TcpReceiver, connection: Any) -> None:
    """Offer STARTTLS and say nothing more once it has been accepted."""
    connection.sendall(b"220 ready\r\n")
    connection.recv(1000)
    connection.sendall(b"250-hello\r\n250 STARTTLS\r\n")
    connection.recv(1000)
    connection.sendall(b"220 go ahead\r\n")
    hang(receiver, connection)


def greet_without_end(receiver: TcpReceiver, connection: Any) -> None:
    """Send lines of a greeting, as fast as they are read, and never the last."""
    while not receiver.closing.is_set():
        connection.sendall(b"220-welcome\r\n" * 1000)


RAW_SMTP_BEHAVIOURS: dict[str, Callable[[TcpReceiver, Any], object]] = {
    "resets": lambda receiver, connection: reset(connection),
    "hangs": hang,
    "drips": lambda receiver, connection: receiver.drip(connection, b"220-welcome\r\n"),
    "refuses without end": greet_without_end,
    "babbles": lambda receiver, connection: connection.sendall(b"HTTP/1.1 400 Bad\r\n\r\n"),
    "stalls in TLS": stall_in_tls,
}


def readable(mail: smtp.Mail) -> str:
    """Return what people see of a mail: subject and both bodies."""
    message = mail.message
    plain, html = message.get_body(("plain",)), message.get_body(("html",))
    assert plain is not None
    assert html is not None
    text = f"{message['Subject']}\n{plain.get_content()}\n{html.get_content()}"
    return text.replace("\r\n", "\n")


def _json_texts(body: bytes) -> str:
    """Return every string in a JSON document, on a line each."""

    def walk(value: Any) -> Iterator[str]:
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            for part in value.values():
                yield from walk(part)
        elif isinstance(value, list):
            for part in value:
                yield from walk(part)

    return "\n".join(walk(json.loads(body)))


DESTINATIONS: list[Destination] = [
    EmailDestination(),
    HttpDestination(
        "slack",
        lambda receiver: {"webhook_url": f"{receiver.url}/services/T1/B2/{TOKEN}"},
        _json_texts,
    ),
    HttpDestination(
        "discord",
        lambda receiver: {"webhook_url": f"{receiver.url}/api/webhooks/12/{TOKEN}"},
        _json_texts,
    ),
    HttpDestination(
        "sms",
        lambda receiver: {
            "to_number": "+15551234567",
            "from_number": "+15557654321",
            "account_sid": "AC0123456789abcdef0123456789abcdef",
            "auth_token": TOKEN,
        },
        lambda body: parse_qs(body.decode(), strict_parsing=True)["Body"][0],
        target_is_the_operators=True,
    ),
    HttpDestination(
        "webhook",
        lambda receiver: {
            "url": f"{receiver.url}/hook/{TOKEN}?key={TOKEN}",
            "secret": TOKEN,
            "headers": {"Authorization": f"Bearer {TOKEN}", "X-Api-Key": TOKEN},
        },
        _json_texts,
    ),
    HttpDestination(
        "apprise",
        lambda receiver: {
            "url": f"{receiver.url.replace('http', 'json', 1)}/{TOKEN}?+X-Token={TOKEN}"
        },
        _json_texts,
        permanent_is_known=False,
    ),
]

"""E-mail against real mail servers on this machine: encryption, login, refusals."""

import socket
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from heartbeat_central.alerts import config as plugin_config
from heartbeat_central.alerts.base import Outbound, SmtpDefaults
from heartbeat_central.alerts.email.plugin import EmailPlugin
from heartbeat_central.alerts.http import HttpClient
from heartbeat_central.domain.alert import Envelope
from heartbeat_central.domain.errors import Invalid, PermanentFailure, TemporaryFailure
from tests.support.receivers.certificates import Certificates
from tests.support.receivers.smtp import Refusals, SmtpReceiver
from tests.support.receivers.tcp import Scripted, TcpReceiver
from tests.support.sample_alerts import DELIVERY_ID, HOSTILE_NAMES, envelope

LOGIN = ("ops@example.com", "pa55-word")


def send(port: int, outbound: Outbound, what: Envelope | None = None, **config: Any) -> str:
    plugin = EmailPlugin()
    raw = {
        "to_email": "dev@example.com",
        "smtp_server": "127.0.0.1",
        "smtp_port": port,
        **config,
    }
    return plugin.send(what or envelope(), plugin_config.validate(plugin, raw), outbound)


def test_sends_text_and_html_with_a_fixed_message_id(outbound: Outbound) -> None:
    with SmtpReceiver() as receiver:
        said = send(receiver.port, outbound)
        send(receiver.port, outbound, envelope(attempt=2))

        first, second = receiver.mails
    assert said == "250 2.0.0 queued as 4711"
    assert first.content == second.content
    message = first.message
    assert message["Message-ID"] == f"<{DELIVERY_ID}@localhost>"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Subject"] == "DOWN: Nightly backup"
    assert message["To"] == "dev@example.com"
    assert message["Date"].datetime.isoformat() == "2026-11-23T12:00:00+00:00"
    assert [part.get_content_type() for part in message.iter_parts()] == [
        "text/plain",
        "text/html",
    ]
    assert (first.sender, first.recipients) == ("heartbeat-central@localhost", ["dev@example.com"])
    assert not first.encrypted


@pytest.mark.parametrize("name", HOSTILE_NAMES.values(), ids=HOSTILE_NAMES)
def test_a_hostile_name_adds_no_header_no_recipient_and_no_markup(
    outbound: Outbound, name: str
) -> None:
    with SmtpReceiver() as receiver:
        send(receiver.port, outbound, envelope(name))
        [mail] = receiver.mails

    message = mail.message
    assert set(message.keys()) == {
        "Subject", "From", "To", "Date", "Message-ID", "Auto-Submitted", "MIME-Version",
        "Content-Type",
    }  # fmt: skip
    assert mail.recipients == ["dev@example.com"]
    assert message["Subject"].startswith("DOWN: ")
    assert len(message["Subject"]) <= 200
    html = message.get_body(("html",))
    assert html is not None
    assert "<script" not in html.get_content()
    assert "<img" not in html.get_content()
    assert html.get_content().count("<a ") == 1
    assert all(len(line) <= 998 for line in mail.content.split(b"\r\n"))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("to_email", "dev@example.com\r\nBcc: victim@example.com"),
        ("to_email", "dev@example.com\nDATA"),
        ("to_email", "dev@example.com> SIZE=1\r\nRCPT TO:<victim@example.com"),
        ("to_email", "Dev <dev@example.com>"),
        ("to_email", '"a\rb"@example.com'),
        ("to_email", "dev@exa mple.com"),
        ("to_email", "dev\x00@example.com"),
        ("to_email", "dév@example.com"),
        ("to_email", ", ,"),
        ("to_email", ",".join(f"a{number}@example.com" for number in range(51))),
        ("smtp_server", "mail.example.com\r\nQUIT"),
        ("smtp_server", "mail.example.com:25"),
        ("smtp_server", "mail example.com"),
    ],
)
def test_an_address_that_is_none_is_refused_before_anything_is_sent(key: str, value: str) -> None:
    raw = {"to_email": "dev@example.com", "smtp_server": "mail.example.com", key: value}
    with pytest.raises(Invalid) as caught:
        plugin_config.validate(EmailPlugin(), raw)
    assert [error.field for error in caught.value.errors] == [f"config.{key}"]


@pytest.mark.parametrize(
    "sender",
    [
        "Evil\r\nBcc: victim@example.com <alerts@example.com>",
        "alerts@example.com\r\nBcc: victim@example.com",
        "alerts@example.com>\r\nRCPT TO:<victim@example.com",
        '"a, b" <alerts@example.com>, victim@example.com',
    ],
)
def test_a_sender_adds_no_header_and_no_recipient(outbound: Outbound, sender: str) -> None:
    with SmtpReceiver() as receiver:
        send(receiver.port, replace(outbound, smtp=SmtpDefaults(sender=sender)))
        [mail] = receiver.mails
    assert mail.sender in ("alerts@example.com", "heartbeat-central@localhost")
    assert mail.recipients == ["dev@example.com"]
    assert "Bcc" not in mail.message
    assert len(mail.message["From"].addresses) == 1


@pytest.mark.parametrize("length", [60, 63, 66, 68, 70, 72, 75, 80, 150])
def test_a_subject_of_any_length_begins_on_its_line(outbound: Outbound, length: int) -> None:
    name = ("Nightly backup of everything " * 9)[:length].strip()
    with SmtpReceiver() as receiver:
        send(receiver.port, outbound, envelope(name))
        [mail] = receiver.mails
    assert mail.message["Subject"] == f"DOWN: {name}"


def test_several_recipients_get_one_mail(outbound: Outbound) -> None:
    with SmtpReceiver() as receiver:
        send(receiver.port, outbound, to_email="a@example.com, b@example.com,a@example.com")
        [mail] = receiver.mails
    assert mail.recipients == ["a@example.com", "b@example.com"]
    assert mail.message["To"] == "a@example.com, b@example.com"


class TestEncryption:
    def test_uses_starttls_when_it_is_offered(
        self, outbound: Outbound, certificates: Certificates
    ) -> None:
        with SmtpReceiver(starttls=certificates.server_context(), login=LOGIN) as receiver:
            send(receiver.port, outbound, username=LOGIN[0], password=LOGIN[1])
            [mail] = receiver.mails
        assert (mail.encrypted, mail.username, mail.sender) == (True, LOGIN[0], LOGIN[0])

    def test_speaks_tls_at_once_for_smtps(
        self, outbound: Outbound, certificates: Certificates
    ) -> None:
        with SmtpReceiver(implicit_tls=certificates.server_context()) as receiver:
            send(receiver.port, outbound, smtp_server="smtps://127.0.0.1")
            [mail] = receiver.mails
        assert mail.encrypted

    def test_logs_in_on_this_machine_without_encryption(self, outbound: Outbound) -> None:
        with SmtpReceiver(login=LOGIN) as receiver:
            send(receiver.port, outbound, username=LOGIN[0], password=LOGIN[1])
            assert receiver.login_attempts == [(LOGIN[0], False)]
            assert receiver.mails[0].username == LOGIN[0]

    def test_a_server_that_stops_offering_starttls_gets_no_password(
        self, outbound: Outbound, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("ipaddress.IPv4Address.is_loopback", False)
        with SmtpReceiver(login=LOGIN) as receiver:
            with pytest.raises(PermanentFailure, match="offers no encryption"):
                send(receiver.port, outbound, username=LOGIN[0], password=LOGIN[1])
            assert receiver.login_attempts == []

    @pytest.mark.parametrize("scheme", ["", "smtps://"])
    def test_a_server_with_another_ones_certificate_gets_no_password(
        self,
        outbound: Outbound,
        certificates: Certificates,
        monkeypatch: pytest.MonkeyPatch,
        scheme: str,
    ) -> None:
        monkeypatch.setattr("ipaddress.IPv4Address.is_loopback", False)
        there = HttpClient(allow_private=True, resolver=lambda host: ["127.0.0.1"])
        context = certificates.server_context()
        kind = "implicit_tls" if scheme else "starttls"
        with SmtpReceiver(login=LOGIN, **{kind: context}) as receiver:  # type: ignore[arg-type]
            with pytest.raises(TemporaryFailure, match=r"certificate of other\.test"):
                send(
                    receiver.port,
                    replace(outbound, http=there),
                    smtp_server=f"{scheme}other.test",
                    username=LOGIN[0],
                    password=LOGIN[1],
                )
            assert receiver.login_attempts == []

            send(
                receiver.port,
                replace(outbound, http=there),
                smtp_server=f"{scheme}receiver.test",
                username=LOGIN[0],
                password=LOGIN[1],
            )
            assert receiver.mails[0].encrypted

    def test_words_said_before_tls_are_forgotten(
        self, outbound: Outbound, certificates: Certificates
    ) -> None:
        """Else somebody in between could slip replies in ahead (CVE-2011-0411 and its kin)."""

        def inject(receiver: TcpReceiver, connection: socket.socket) -> None:
            connection.sendall(b"220 ready\r\n")
            connection.recv(1000)
            connection.sendall(b"250-hello\r\n250 STARTTLS\r\n")
            connection.recv(1000)
            connection.sendall(b"220 go ahead\r\n" + b"250 injected\r\n" * 6)
            with certificates.server_context().wrap_socket(connection, server_side=True):
                pass

        with Scripted(inject) as receiver, pytest.raises(TemporaryFailure):
            send(receiver.port, outbound)


class TestRefusals:
    @pytest.mark.parametrize(
        ("refuse", "failure"),
        [
            (Refusals(mail="550 5.7.1 sender not allowed"), PermanentFailure),
            (Refusals(mail="451 4.7.1 greylisted"), TemporaryFailure),
            (Refusals(recipients={"dev@example.com": "550 5.1.1 unknown"}), PermanentFailure),
            (Refusals(recipients={"dev@example.com": "452 4.2.2 full"}), TemporaryFailure),
            (Refusals(data="554 5.6.0 spam"), PermanentFailure),
            (Refusals(data="452 4.3.1 no space"), TemporaryFailure),
            (Refusals(drop_after_data=True), TemporaryFailure),
        ],
    )
    def test_its_first_digit_decides(
        self, outbound: Outbound, refuse: Refusals, failure: type[Exception]
    ) -> None:
        with SmtpReceiver(refuse=refuse) as receiver, pytest.raises(failure):
            send(receiver.port, outbound)

    @pytest.mark.parametrize(
        ("reply", "failure"),
        [
            ("535 5.7.8 bad credentials", PermanentFailure),
            ("454 4.7.0 try again later", TemporaryFailure),
        ],
    )
    def test_of_a_login(self, outbound: Outbound, reply: str, failure: type[Exception]) -> None:
        with (
            SmtpReceiver(login=LOGIN, refuse=Refusals(login=reply)) as receiver,
            pytest.raises(failure, match="refused the login"),
        ):
            send(receiver.port, outbound, username=LOGIN[0], password=LOGIN[1])

    def test_a_server_that_takes_no_login_is_said_so(self, outbound: Outbound) -> None:
        with SmtpReceiver() as receiver, pytest.raises(PermanentFailure, match="takes no login"):
            send(receiver.port, outbound, username=LOGIN[0], password=LOGIN[1])

    @pytest.mark.parametrize(
        ("greeting", "failure"),
        [
            (b"554 no service for you\r\n", PermanentFailure),
            (b"421 too busy\r\n", TemporaryFailure),
        ],
    )
    def test_of_the_connection(
        self, outbound: Outbound, greeting: bytes, failure: type[Exception]
    ) -> None:
        with (
            Scripted(lambda receiver, connection: connection.sendall(greeting)) as receiver,
            pytest.raises(failure, match=greeting[:3].decode()),
        ):
            send(receiver.port, outbound)

    def test_one_unknown_recipient_does_not_keep_the_others_from_their_mail(
        self, outbound: Outbound
    ) -> None:
        refuse = Refusals(recipients={"gone@example.com": "550 unknown"})
        with SmtpReceiver(refuse=refuse) as receiver:
            with pytest.raises(PermanentFailure, match=r"not to all.*gone@example\.com: 550"):
                send(receiver.port, outbound, to_email="dev@example.com, gone@example.com")
            assert [mail.recipients for mail in receiver.mails] == [["dev@example.com"]]

    def test_nobody_gets_the_mail_twice_while_one_is_waited_for(self, outbound: Outbound) -> None:
        refuse = Refusals(recipients={"slow@example.com": "450 later"})
        both = "dev@example.com, slow@example.com"
        with SmtpReceiver(refuse=refuse) as receiver:
            for attempt in (1, 2, 3):
                with pytest.raises(TemporaryFailure, match=r"slow@example\.com: 450"):
                    send(receiver.port, outbound, envelope(attempt=attempt), to_email=both)
            assert receiver.mails == []

            with pytest.raises(PermanentFailure, match="not to all"):
                send(receiver.port, outbound, envelope(attempt=4), to_email=both)
            assert [mail.recipients for mail in receiver.mails] == [["dev@example.com"]]

    def test_a_closed_port_is_temporary(self, outbound: Outbound) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        with pytest.raises(TemporaryFailure, match="no connection to 127"):
            send(port, outbound)


class TestTheOperatorsServer:
    def defaults(self, outbound: Outbound, port: int, **more: Any) -> Outbound:
        guarded = HttpClient(allow_private=False)
        smtp = SmtpDefaults(server="127.0.0.1", port=port, **more)
        return replace(outbound, http=guarded, smtp=smtp)

    def send(self, outbound: Outbound, **config: Any) -> str:
        plugin = EmailPlugin()
        raw = {"to_email": "dev@example.com", **config}
        return plugin.send(envelope(), plugin_config.validate(plugin, raw), outbound)

    def test_may_be_private_and_gets_the_operators_login_and_sender(
        self, outbound: Outbound
    ) -> None:
        with SmtpReceiver(login=LOGIN) as receiver:
            self.send(
                self.defaults(
                    outbound,
                    receiver.port,
                    username=LOGIN[0],
                    password=LOGIN[1],
                    sender="Höhle <alerts@example.com>",
                )
            )
            [mail] = receiver.mails
        assert (mail.username, mail.sender) == (LOGIN[0], "alerts@example.com")
        assert mail.message["From"] == "Höhle <alerts@example.com>"

    def test_its_password_is_never_offered_to_another_server(self, outbound: Outbound) -> None:
        there = HttpClient(allow_private=True)
        with SmtpReceiver(login=LOGIN) as receiver:
            defaults = replace(
                self.defaults(outbound, 9, username=LOGIN[0], password=LOGIN[1]), http=there
            )
            self.send(defaults, smtp_server="127.0.0.1", smtp_port=receiver.port)
            assert receiver.login_attempts == []
            assert len(receiver.mails) == 1

    def test_without_any_server_it_says_what_to_set(self, outbound: Outbound) -> None:
        with pytest.raises(PermanentFailure, match="SMTP_SERVER"):
            self.send(outbound)


def test_a_name_of_a_mail_server_is_resolved_once(outbound: Outbound) -> None:
    asked = []

    def resolve(host: str) -> Sequence[str]:
        asked.append(host)
        return ["127.0.0.1"]

    there = HttpClient(allow_private=True, resolver=resolve)
    with SmtpReceiver() as receiver:
        send(receiver.port, replace(outbound, http=there), smtp_server="mail.test")
        assert len(receiver.mails) == 1
    assert asked == ["mail.test"]

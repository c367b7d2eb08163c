"""Mail servers that refuse, at each stage of the conversation, for now or for good, or break it off."""

import socket
from collections.abc import Callable

import pytest

from heartbeat_central.domain.signal import SignalKind
from heartbeat_central.storage.outbox import DeliveryStatus
from tests.support.receivers.smtp import Refusals, SmtpReceiver
from tests.support.receivers.tcp import Scripted, TcpReceiver
from tests.support.world import World

STAGES = ["greeting", "EHLO", "MAIL", "RCPT", "DATA", "message"]
RECIPIENT = "ops@example.com"


class Conversation:
    """What a mail server says, with one reply of the test's own; counts the mails that it took."""

    def __init__(self, stage: str, reply: str) -> None:
        self.stage: str | None = stage
        """Where it refuses; None: nowhere any more."""
        self.reply = reply
        self.mails: list[bytes] = []

    def __call__(self, receiver: TcpReceiver, connection: socket.socket) -> None:
        with connection.makefile("rb") as lines:
            if not self._say(connection, "greeting", "220 ready"):
                return
            for line in lines:
                verb = line[:4].decode("latin-1").upper()
                if verb == "QUIT":
                    connection.sendall(b"221 bye\r\n")
                    return
                stage = "EHLO" if verb == "HELO" else verb
                if not self._say(connection, stage, "354 go on" if verb == "DATA" else "250 ok"):
                    continue
                if verb == "DATA":
                    mail = b"".join(iter(lines.readline, b".\r\n"))
                    if self._say(connection, "message", "250 queued"):
                        self.mails.append(mail)

    def _say(self, connection: socket.socket, stage: str, usual: str) -> bool:
        """Answer at this stage; return whether the conversation goes on from there."""
        refuses = stage == self.stage
        connection.sendall(f"{self.reply if refuses else usual}\r\n".encode())
        return not refuses


def mailing(world: World, port: int) -> Callable[[float], DeliveryStatus | None]:
    """Let an application fail whose channel is that mail server; return what sends what is due."""
    config = {"to_email": RECIPIENT, "smtp_server": "127.0.0.1", "smtp_port": port}
    application = world.application(channels=[world.channel("email", config)])
    world.beat(application, 0, SignalKind.FAIL)

    def attempt(seconds: float) -> DeliveryStatus | None:
        claimed = world.claim(seconds)
        return world.send(claimed[0], seconds) if claimed else None

    return attempt


@pytest.mark.parametrize("reply", ["421 closing", "450 greylisted", "451 local error"])
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_refusal_for_now_at_any_stage_is_tried_again_until_the_mail_is_taken(
    world: World, reply: str
) -> None:
    for stage in STAGES:
        conversation = Conversation(stage, reply)
        with Scripted(conversation) as server:
            attempt = mailing(world, server.port)
            assert attempt(0) is DeliveryStatus.PENDING, stage
            assert attempt(3) is DeliveryStatus.PENDING, stage
            assert conversation.mails == [], stage
            conversation.stage = None
            assert attempt(10) is DeliveryStatus.DELIVERED, stage
            assert len(conversation.mails) == 1, stage


@pytest.mark.parametrize("reply", ["550 no such user", "554 refused"])
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_refusal_for_good_at_any_stage_is_a_dead_letter_at_once(world: World, reply: str) -> None:
    for stage in STAGES:
        conversation = Conversation(stage, reply)
        with Scripted(conversation) as server:
            attempt = mailing(world, server.port)
            assert attempt(0) is DeliveryStatus.DEAD, stage
            assert attempt(3600) is None, stage
            assert conversation.mails == [], stage


def test_a_connection_that_drops_after_the_message_leads_to_one_duplicate_at_most(
    world: World,
) -> None:
    """The server has taken the mail, and nobody but it can know."""
    with SmtpReceiver(refuse=Refusals(drop_after_data=True)) as server:
        attempt = mailing(world, server.port)
        assert attempt(0) is DeliveryStatus.PENDING
        server.refuse.drop_after_data = False
        assert attempt(3) is DeliveryStatus.DELIVERED
        assert attempt(3600) is None
        first, second = server.mails
        assert first.message["Message-ID"] == second.message["Message-ID"], "readers drop it"
        assert first.message["Date"] == second.message["Date"]


def test_greylisting_is_waited_for(world: World) -> None:
    refusals = Refusals(recipients={RECIPIENT: "450 4.2.0 greylisted, come back in 300 seconds"})
    with SmtpReceiver(refuse=refusals) as server:
        attempt = mailing(world, server.port)
        seconds = 0.0
        while attempt(seconds) is not DeliveryStatus.DELIVERED:
            seconds += 30
            if seconds >= 300:
                refusals.recipients.clear()
        assert seconds < 700
        assert len(server.mails) == 1

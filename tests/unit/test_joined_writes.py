"""What an answer consists of leaves in one piece, and nothing of it is kept for long."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

from heartbeat_central.ingest.joined_writes import JoinedWrites


class Wire:
    """A transport that notes what it is given."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:
        assert not self.closed, "nothing can be sent on a closed connection"
        self.sent.append(data)

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def get_extra_info(self, name: str) -> str:
        return f"the {name} of the wire"


def in_a_loop(work: Callable[[Any, Wire], Any]) -> Wire:
    async def run() -> Wire:
        wire = Wire()
        await work(JoinedWrites(cast("Any", wire), asyncio.get_running_loop()), wire)
        return wire

    return asyncio.run(run())


def test_head_and_body_leave_in_one_piece() -> None:
    async def answer(joined: Any, wire: Wire) -> None:
        joined.write(b"head, ")
        joined.write(b"body")
        assert wire.sent == []
        await asyncio.sleep(0)

    assert in_a_loop(answer).sent == [b"head, body"]


def test_the_next_piece_of_a_stream_does_not_wait_for_its_end() -> None:
    async def stream(joined: Any, wire: Wire) -> None:
        for piece in (b"one", b"two"):
            joined.write(piece)
            await asyncio.sleep(0)
            assert wire.sent[-1] == piece

    assert in_a_loop(stream).sent == [b"one", b"two"]


def test_what_was_written_before_the_end_is_sent_before_it() -> None:
    async def last_words(joined: Any, wire: Wire) -> None:
        joined.write(b"good-bye")
        joined.close()
        assert wire.closed
        await asyncio.sleep(0)

    assert in_a_loop(last_words).sent == [b"good-bye"]


def test_a_client_that_hung_up_meanwhile_gets_nothing() -> None:
    async def too_late(joined: Any, wire: Wire) -> None:
        joined.write(b"hello?")
        wire.closed = True
        await asyncio.sleep(0)

    assert in_a_loop(too_late).sent == []


def test_everything_else_is_the_transports_own() -> None:
    async def asked(joined: Any, _: Wire) -> None:
        assert joined.get_extra_info("peer") == "the peer of the wire"

    in_a_loop(asked)

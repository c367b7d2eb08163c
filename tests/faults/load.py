"""Clients that send heartbeats over connections they keep, and note what they are told."""

import json
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPException
from itertools import count
from types import TracebackType
from typing import Self
from uuid import UUID

from tests.faults.checker import Call
from tests.support.service import wait_until


class Load:
    """`clients` threads that call, each for its share of the applications; a context manager.

    Every call has a body of its own, by which it is found again in the history.
    """

    def __init__(
        self,
        port: int,
        uuids: Sequence[str],
        *,
        clients: int = 4,
        pause: float = 0.005,
        patience: float = 5.0,
        padding: int = 0,
    ) -> None:
        """A client waits `pause` seconds between two calls and `patience` for an answer; each body
        has `padding` bytes more than it needs."""
        self.calls: list[Call] = []
        self.longest_refusal = 0.0
        """Seconds that the slowest answer of 503 took."""
        self._port = port
        self._uuids = uuids
        self._pause = pause
        self._patience = patience
        self._padding = "." * padding
        self._numbers = (f"{id(self):x}-{one}" for one in count())
        self._over = threading.Event()
        self._threads = [
            threading.Thread(target=self._send_on, args=(uuids[one::clients],))
            for one in range(min(clients, len(uuids)))
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(self._patience + 5)

    @property
    def acknowledged(self) -> int:
        """Return how many calls were answered with success."""
        return sum(call.acknowledged for call in list(self.calls))

    def statuses(self) -> set[int | None]:
        """Return the statuses that were answered; None among them for calls without an answer."""
        return {call.status for call in list(self.calls)}

    def wait_for(self, more: int, seconds: float = 20) -> float:
        """Return the seconds until so many more calls were acknowledged."""
        begun = time.monotonic()
        goal = self.acknowledged + more
        wait_until(lambda: self.acknowledged >= goal, f"{more} heartbeats", seconds)
        return time.monotonic() - begun

    def wait_for_failure(self, seconds: float = 20, *, after: int | None = None) -> None:
        """Return when a call was answered with 503 or not at all, from now on or `after` so many calls."""
        known = len(self.calls) if after is None else after
        wait_until(
            lambda: any(not call.acknowledged for call in self.calls[known:]), "a refusal", seconds
        )

    def _send_on(self, uuids: Sequence[str]) -> None:
        connection = self._connect()
        while not self._over.is_set():
            for uuid in uuids:
                if self._over.is_set():
                    break
                if not self._send(connection, uuid):
                    connection.close()
                    connection = self._connect()
                    self._over.wait(0.05)
                self._over.wait(self._pause)
        connection.close()

    def _connect(self) -> HTTPConnection:
        return HTTPConnection("127.0.0.1", self._port, timeout=self._patience)

    def _send(self, connection: HTTPConnection, uuid: str) -> bool:
        """Send one call; return whether it was answered."""
        marker = next(self._numbers) + self._padding
        sent_at = datetime.now(UTC)
        begun = time.monotonic()
        status = received_at = answered_at = None
        with suppress(OSError, HTTPException, ValueError):
            connection.request("POST", f"/heartbeat/{uuid}", marker)
            answer = connection.getresponse()
            content = answer.read()
            # Noted last, so that an answer that was cut off counts as none.
            if answer.status == 200:
                received_at = datetime.fromisoformat(json.loads(content)["timestamp"])
            answered_at = datetime.now(UTC)
            status = answer.status
        if status == 503:
            self.longest_refusal = max(self.longest_refusal, time.monotonic() - begun)
        self.calls.append(
            Call(
                uuid=UUID(uuid),
                marker=marker,
                sent_at=sent_at,
                answered_at=answered_at,
                status=status,
                received_at=received_at,
            )
        )
        return status is not None

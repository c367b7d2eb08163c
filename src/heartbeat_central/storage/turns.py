"""A lock whose waiters get it in the order in which they came."""

import threading
from collections import deque
from types import TracebackType


class Turns:
    """For SQLite's one writer: Python's own lock goes to whoever asks first once it is free.

    That is mostly the thread that has just let go of it, when it writes one batch after another; a
    heartbeat would wait for the whole of them.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[threading.Lock] = deque()
        self._taken = False

    def __enter__(self) -> None:
        with self._lock:
            if not self._taken:
                self._taken = True
                return
            mine = threading.Lock()
            mine.acquire()
            self._waiting.append(mine)
        try:
            mine.acquire()
        except BaseException:
            self._leave(mine)
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._lock:
            self._pass_on()

    def _leave(self, mine: threading.Lock) -> None:
        """Give up waiting, or the turn that has come meanwhile."""
        with self._lock:
            if mine in self._waiting:
                self._waiting.remove(mine)
            else:
                self._pass_on()

    def _pass_on(self) -> None:
        # Handed over and never free in between, so that nobody can step in.
        if self._waiting:
            self._waiting.popleft().release()
        else:
            self._taken = False

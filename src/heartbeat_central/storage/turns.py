"""A lock whose waiters get it in turn; those in a hurry get every second turn."""

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager


class Turns:
    """For SQLite's one writer: Python's own lock goes to whoever asks first once it is free.

    That is mostly the thread that has just let go of it, when it writes one batch after another; a
    heartbeat would wait for the whole of them. Here it waits for one turn of another at most, however
    many others there are, and keeps none of them waiting for good.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._hurried: deque[threading.Lock] = deque()
        self._patient: deque[threading.Lock] = deque()
        self._taken = False
        self._hurried_last = False

    @contextmanager
    def turn(self, *, hurried: bool = False) -> Iterator[None]:
        """Hold the lock for the length of a `with` block."""
        self._take(self._hurried if hurried else self._patient)
        try:
            yield
        finally:
            with self._lock:
                self._pass_on()

    def _take(self, queue: deque[threading.Lock]) -> None:
        with self._lock:
            if not self._taken:
                self._taken = True
                self._hurried_last = queue is self._hurried
                return
            mine = threading.Lock()
            mine.acquire()
            queue.append(mine)
        try:
            mine.acquire()
        except BaseException:
            self._leave(queue, mine)
            raise

    def _leave(self, queue: deque[threading.Lock], mine: threading.Lock) -> None:
        """Give up waiting, or the turn that has come meanwhile."""
        with self._lock:
            if mine in queue:
                queue.remove(mine)
            else:
                self._pass_on()

    def _pass_on(self) -> None:
        # Handed over and never free in between, so that nobody can step in.
        hurried = bool(self._hurried) and not (self._hurried_last and self._patient)
        queue = self._hurried if hurried else self._patient
        self._hurried_last = hurried
        if queue:
            queue.popleft().release()
        else:
            self._taken = False

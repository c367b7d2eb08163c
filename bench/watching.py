"""Sees when incidents become visible to others, that is, when they are committed."""

import threading
import time
from types import TracebackType
from typing import Any

from sqlalchemy import text

from heartbeat_central.storage.engine import Database

_NEW = text("SELECT id, application_id FROM incidents WHERE id > :seen ORDER BY id")
_NEWEST = text("SELECT coalesce(max(id), 0) FROM incidents")


class IncidentWatch:
    """While it is open: notes when each new incident was first seen, a few milliseconds exact."""

    EVERY = 0.005

    def __init__(self, database: Database) -> None:
        self._database = database
        self._stopping = threading.Event()
        with database.read() as connection:
            self._seen = connection.execute(_NEWEST).scalar_one()
        self.committed: dict[int, float] = {}
        """Unix time by application id."""
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "IncidentWatch":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopping.set()
        self._thread.join()

    def wait(self, count: int, *, seconds: float) -> None:
        """Return once `count` incidents have been seen. Raises RuntimeError when they don't come."""
        end = time.monotonic() + seconds
        while len(self.committed) < count:
            if time.monotonic() > end:
                raise RuntimeError(f"{len(self.committed)} of {count} incidents in {seconds} s")
            time.sleep(0.02)

    def _watch(self) -> None:
        while not self._stopping.wait(self.EVERY):
            with self._database.read() as connection:
                rows: Any = connection.execute(_NEW, {"seen": self._seen}).all()
            at = time.time()
            for row in rows:
                self._seen = row.id
                self.committed[row.application_id] = at

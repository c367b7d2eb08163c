"""What the faults of recording are injected into: a real service, its clients and its receiver."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from heartbeat_central.storage.engine import open_database
from tests.faults.checker import Stored, stored, told, violations
from tests.faults.load import Load
from tests.support.receivers.http import HttpReceiver
from tests.support.service import Service, wait_until

BRISK = 6
"""Applications that call in all the time and may be silent for three seconds. Fewer than a storm."""
DEAD = 2
"""Applications that never call, so that there is something to tell."""


class Scene:
    """Healthy and dead applications with a webhook channel."""

    def __init__(self, service: Service, receiver: HttpReceiver, database_url: str) -> None:
        self.service = service
        self.receiver = receiver
        self.database_url = database_url
        channel = service.api(
            "POST",
            "/channels",
            {"name": "hook", "type": "webhook", "config": {"url": receiver.url + "/hook"}},
        )
        self._channel = channel["id"]
        self.healthy = [self.application(f"healthy {one}") for one in range(BRISK)]
        self.dead = [self.application(f"dead {one}", interval=1) for one in range(DEAD)]

    def application(self, name: str, *, interval: int = 2) -> str:
        """Make an application that tells this channel, and return its uuid."""
        body = {"name": name, "expected_interval": interval, "grace_period": 1}
        created = self.service.api("POST", "/applications", {**body, "channels": [self._channel]})
        return str(created["uuid"])

    def load(self, **more: Any) -> Load:
        """Return clients that call for the healthy applications, to be entered."""
        return Load(self.service.port, self.healthy, **more)

    def wait_until_told(self, seconds: float = 40) -> None:
        """Return when every dead application was told of. While this waits, the others must call."""
        path = f"/channels/{self._channel}/deliveries?limit=1000"

        def all_told() -> bool:
            rows = self.service.api("GET", path)
            downs = sum(one["event"] == "down" for one in rows)
            return downs >= DEAD and {one["status"] for one in rows} == {"delivered"}

        wait_until(all_told, "the dead applications to be told of", seconds)

    def verify(self, *loads: Load, crashes: int) -> Stored:
        """Demand that no promise was broken. The service must have stopped."""
        database = open_database(self.database_url)
        try:
            found = stored(database)
        finally:
            database.close()
        calls = [call for load in loads for call in load.calls]
        said = violations(calls, told(self.receiver.requests), found, crashes=crashes)
        assert said == [], "\n".join(said[:20])
        return found


@contextmanager
def scene(folder: Path, database_url: str, **settings: Any) -> Iterator[Scene]:
    """Yield a scene of its own on that database."""
    with (
        HttpReceiver() as receiver,
        Service(folder / "service", DATABASE_URL=database_url, **settings) as service,
    ):
        yield Scene(service, receiver, database_url)

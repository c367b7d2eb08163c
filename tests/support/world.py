"""A small world for tests of services: a project with applications and channels in a database."""

from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any
from uuid import UUID

import pytest

from heartbeat_central.alerts.base import Outbound
from heartbeat_central.alerts.http import HttpClient
from heartbeat_central.alerts.registry import build_registry
from heartbeat_central.alerts.sockets import tls_context
from heartbeat_central.domain.application import settings_from
from heartbeat_central.domain.bulkhead import Bulkheads
from heartbeat_central.domain.signal import Signal, SignalKind
from heartbeat_central.domain.view import ApplicationView
from heartbeat_central.services.default_project import default_project_id
from heartbeat_central.services.deliver_alerts import Sender, claim_due, deliver
from heartbeat_central.services.detect_missed import Swept, detect_missed
from heartbeat_central.services.manage_applications import create_application, get_application
from heartbeat_central.services.manage_channels import create_channel
from heartbeat_central.services.record_outcomes import record_outcomes
from heartbeat_central.services.record_signals import Outcome, Recorded
from heartbeat_central.services.recorder import Recorder
from heartbeat_central.services.roll_up_history import RollUp
from heartbeat_central.services.tell_storms import tell_storms
from heartbeat_central.storage.engine import Database
from heartbeat_central.storage.leases import Claimed
from heartbeat_central.storage.outbox import DeliveryStatus
from heartbeat_central.storage.secrets import SecretBox
from heartbeat_central.storage.touch_stores import open_touch_store

BASE_URL = "http://localhost:5000"
START = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0)
"""Noon of today, for which history partitions exist; tests count seconds from here."""

# Looking for installed plugins and reading all certificates of the system takes most of a world's time.
_registry = cache(build_registry)
_trusted = cache(tls_context)

on_postgresql = pytest.mark.parametrize("database", ["postgresql"], indirect=True)
on_sqlite = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
"""For what only one of the two databases does."""


def at(seconds: float) -> datetime:
    """Return the moment `seconds` after START."""
    return START + timedelta(seconds=seconds)


class World:
    """One database, seen as the service's use cases see it."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.project_id = default_project_id(database, now=START)
        self.registry = _registry()
        self.secret_box = SecretBox(["a secret key of this test only"])
        self.outbound = Outbound(
            http=HttpClient(allow_private=True),
            operator_http=HttpClient(allow_private=True),
            allow_private_targets=True,
            mail_tls=_trusted(),
        )
        self.bulkheads = Bulkheads()
        self.touches = open_touch_store(database)
        self.recorder = Recorder(database, self.touches, base_url=BASE_URL)

    def close(self) -> None:
        """Close the connections to receivers, and the recorder's to the database."""
        self.touches.close()
        self.outbound.http.close()
        self.outbound.operator_http.close()

    def application(
        self, name: str = "Backup", *, interval: int = 60, grace: int = 10, **more: Any
    ) -> ApplicationView:
        """Create an application, by default at START; a `schedule` takes the place of the interval."""
        channels = more.pop("channels", ())
        created_at = at(more.pop("created_at", 0))
        schedule = more.pop("schedule", None)
        settings = settings_from(
            name=name,
            expected_interval=None if schedule else interval,
            schedule=schedule,
            grace_period=grace,
            **more,
        )
        return create_application(
            self.database,
            self.project_id,
            settings,
            channels=channels,
            now=created_at,
            base_url=BASE_URL,
        )

    def webhook(self, url: str, name: str = "hook") -> int:
        """Create a webhook channel to `url` and return its id."""
        return self.channel("webhook", {"url": url}, name)

    def channel(self, type_: str, config: dict[str, Any], name: str = "channel") -> int:
        """Create a channel and return its id."""
        channel = create_channel(
            self.database,
            self.project_id,
            name=name,
            type=type_,
            config=config,
            registry=self.registry,
            secret_box=self.secret_box,
            now=START,
        )
        return channel.id

    def look(self, application: ApplicationView, seconds: float) -> ApplicationView:
        """Return the application as it is shown `seconds` after START."""
        return get_application(
            self.database, self.project_id, application.id, now=at(seconds), base_url=BASE_URL
        )

    def record(self, signals: list[Signal], seconds: float | None = None) -> Recorded:
        """Record a batch, by default at the moment of its last signal."""
        now = at(seconds) if seconds is not None else signals[-1].received_at
        return self.recorder.record(signals, now=now)

    def beat(
        self,
        application: ApplicationView,
        seconds: float,
        kind: SignalKind = SignalKind.SUCCESS,
        **more: Any,
    ) -> Outcome:
        """Record one signal that arrived `seconds` after START."""
        return self.record([signal(application.uuid, seconds, kind, **more)]).outcomes[0]

    def detect(self, seconds: float) -> Swept:
        """Run one pass of the detector `seconds` after START."""
        return detect_missed(self.database, now=at(seconds), base_url=BASE_URL)

    def digest(self, seconds: float, *, reaches_out: bool = True) -> int:
        """Tell the digests of storms that are due `seconds` after START; return what may be sent."""
        return tell_storms(
            self.database, now=at(seconds), base_url=BASE_URL, reaches_out=lambda: reaches_out
        )

    def roll_up(self, seconds: float) -> None:
        """Roll up all that there is `seconds` after START."""
        now = at(seconds)
        rolling = RollUp(self.database)
        while rolling.step(now=now) == now:
            pass

    def claim(self, seconds: float, most: int = 100) -> list[Claimed]:
        """Lease what is due `seconds` after START."""
        return claim_due(self.database, self.bulkheads, now=at(seconds), most=most)

    def sender(self) -> Sender:
        """Return what sends alerts."""
        return Sender(self.database, self.registry, self.secret_box, self.outbound)

    def send(self, claimed: Claimed, seconds: float) -> DeliveryStatus:
        """Send one claimed delivery and record the outcome."""
        outcome = deliver(self.sender(), claimed, clock=lambda: at(seconds))
        record_outcomes(self.database, [outcome])
        return outcome.status


def signal(
    uuid: UUID, seconds: float, kind: SignalKind = SignalKind.SUCCESS, **more: Any
) -> Signal:
    """Return a signal that arrived `seconds` after START."""
    return Signal(uuid=uuid, kind=kind, received_at=at(seconds), **more)

"""The pages behind a real HTTP server, on each of the two databases, and people who visit them."""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from argon2 import PasswordHasher
from flask import Flask
from werkzeug.serving import make_server

from heartbeat_central.domain.application import settings_from
from heartbeat_central.domain.signal import Signal, SignalKind
from heartbeat_central.domain.view import ApplicationView
from heartbeat_central.metrics import Metrics
from heartbeat_central.services import passwords
from heartbeat_central.services.check_health import Vitals
from heartbeat_central.services.deliver_alerts import Sender
from heartbeat_central.services.detect_missed import detect_missed
from heartbeat_central.services.manage_accounts import add_user, sign_in
from heartbeat_central.services.manage_applications import create_application
from heartbeat_central.services.setup_link import setup_token
from heartbeat_central.settings import read_settings
from heartbeat_central.storage.engine import Database
from heartbeat_central.web import SESSION_COOKIE
from heartbeat_central.wiring.pages import flask_app
from heartbeat_central.wiring.parts import Parts
from tests.support.visitor import Visitor
from tests.support.world import World

BASE_URL = "https://beats.example.org"
"""The address that people and applications are told."""
SECRET_KEY = "a secret key of these tests only"
EMAIL, PASSWORD = "ada@example.com", "correct horse battery"
ON_SQLITE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
"""For modules about what is shown and how; what goes into queries is tried on both databases."""


def clock() -> datetime:
    return datetime.now(UTC)


@dataclass
class Site:
    """The pages as they are served."""

    app: Flask
    port: int
    world: World
    rings: list[datetime] = field(default_factory=list)
    """When the monitor was told that there may be something to do."""

    @property
    def setup_path(self) -> str:
        return f"/setup?token={setup_token(SECRET_KEY)}"

    def visitor(self) -> Visitor:
        """Somebody who has never been here."""
        return Visitor(self.port)

    def add_user(self, email: str = EMAIL, password: str = PASSWORD) -> None:
        add_user(self.world.database, email, password, now=clock())

    def watch(
        self,
        name: str = "Backup",
        *,
        interval: int = 3600,
        age: float = 0,
        channels: Sequence[int] = (),
        is_active: bool = True,
        **more: Any,
    ) -> ApplicationView:
        """Register an application, as if `age` seconds ago, with a grace period of 10 minutes."""
        given = {"expected_interval": interval, "schedule": None, "grace_period": 600, **more}
        return create_application(
            self.world.database,
            self.world.project_id,
            settings_from(name=name, **given),
            channels=channels,
            is_active=is_active,
            now=clock() - timedelta(seconds=age),
            base_url=BASE_URL,
        )

    def beat(
        self,
        application: ApplicationView,
        kind: SignalKind = SignalKind.SUCCESS,
        *,
        ago: float = 0,
        **more: Any,
    ) -> None:
        """Record a signal that came `ago` seconds ago."""
        at = clock() - timedelta(seconds=ago)
        signal = Signal(uuid=application.uuid, kind=kind, received_at=at, **more)
        self.world.recorder.record([signal], now=at)

    def detect(self) -> None:
        """Let the detector look once."""
        detect_missed(self.world.database, now=clock(), base_url=BASE_URL)


@pytest.fixture
def site(database: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    # The same algorithm at its least: what it costs is the business of the services' own tests.
    least = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    monkeypatch.setattr(passwords, "_hasher", least)
    world = World(database)
    rings: list[datetime] = []
    parts = Parts(
        settings=read_settings({"BASE_URL": BASE_URL}),
        secret_key=SECRET_KEY,
        database=database,
        vitals=Vitals(),
        metrics=Metrics(),
    )
    sender = Sender(database, world.registry, world.secret_box, world.outbound)
    app = flask_app(parts, sender, lambda: rings.append(clock()))
    server = make_server("127.0.0.1", 0, app, threaded=True)
    # Half a second, its usual pause, would be most of a test's time.
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield Site(app, server.server_port, world, rings)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        world.close()


@pytest.fixture
def ada(site: Site) -> Visitor:
    """The first account's owner, signed in."""
    site.add_user()
    token = sign_in(site.world.database, EMAIL, PASSWORD, now=clock())
    return Visitor(site.port, {SESSION_COOKIE: token})

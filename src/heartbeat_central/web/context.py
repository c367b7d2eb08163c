"""What the pages' views work with, put together by wiring."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import cast

from flask import current_app

from heartbeat_central.alerts.registry import Registry
from heartbeat_central.services.deliver_alerts import Sender
from heartbeat_central.services.list_applications import StatusCounts
from heartbeat_central.storage.engine import Database
from heartbeat_central.storage.secrets import SecretBox

_EXTENSION = "heartbeat_central.web"


@dataclass(frozen=True, slots=True, kw_only=True)
class WebContext:
    """The parts that views use."""

    sender: Sender
    """Database, plugins, secrets and the way out: what telling needs, and so does a test."""
    base_url: str
    """Where this service is reached, without a trailing slash."""
    secret_key: str = field(repr=False)
    clock: Callable[[], datetime]
    status_counts: StatusCounts
    doorbell: Callable[[], None]
    """Rung after a change that may make a deadline earlier."""

    @property
    def database(self) -> Database:
        """Return the database."""
        return self.sender.database

    @property
    def registry(self) -> Registry:
        """Return the alert plugins."""
        return self.sender.registry

    @property
    def secret_box(self) -> SecretBox:
        """Return what seals channel configurations."""
        return self.sender.secret_box

    @property
    def is_https(self) -> bool:
        """Return whether people reach it through TLS, so that cookies may insist on that."""
        return self.base_url.startswith("https://")

    def keep(self, extensions: dict[str, object]) -> None:
        """Keep this context on a Flask application."""
        extensions[_EXTENSION] = self


def context() -> WebContext:
    """Return the context of the application that handles this request."""
    return cast("WebContext", current_app.extensions[_EXTENSION])

"""A destination that remembers what it was told, as another package would bring one."""

from datetime import timedelta
from importlib.metadata import EntryPoint
from uuid import UUID

from heartbeat_central.alerts.base import AlertPlugin, Outbound, PluginConfig
from heartbeat_central.alerts.registry import GROUP
from heartbeat_central.domain.alert import Envelope
from heartbeat_central.domain.errors import PermanentFailure, TemporaryFailure

ENTRY_POINT = EntryPoint("recorder", f"{__name__}:RecordingPlugin", GROUP)


class NoConfig(PluginConfig):
    """Nothing to set."""


class RecordingPlugin(AlertPlugin[NoConfig]):
    """Answers as `outcome` says, and notes each alert that it took."""

    type = "recorder"
    label = "Recorder"
    summary = "Remembers what it was told."
    Config = NoConfig

    def __init__(self) -> None:
        self.outcome = "delivered"
        self.retry_after = timedelta(hours=1)
        self.told: list[tuple[UUID, Envelope]] = []

    def build(self, envelope: Envelope, config: NoConfig) -> Envelope:
        return envelope

    def send(self, envelope: Envelope, config: NoConfig, outbound: Outbound) -> str:
        if self.outcome == "pending":
            raise TemporaryFailure("busy", retry_after=self.retry_after)
        if self.outcome == "dead":
            raise PermanentFailure("gone for good")
        self.told.append((envelope.delivery_id, self.build(envelope, config)))
        return "noted"

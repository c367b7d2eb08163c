"""The contract between the service and an alert plugin.

A plugin is a configuration model, a pure `build` of what to send, and a thin `send`. The model draws
the form, validates what people enter and marks secrets. Third parties register a plugin class under
the entry-point group `heartbeat_central.alerts`.
"""

import builtins
import ssl
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, model_validator

from heartbeat_central.alerts.http import HttpClient
from heartbeat_central.alerts.sockets import tls_context
from heartbeat_central.domain.alert import Envelope


class PluginConfig(BaseModel):
    """Base of every plugin's configuration: exactly the declared keys, strict types.

    Annotate a secret as `SecretStr`, or as `SecretUrl` when people should still see its host: it
    is masked on output. Give every field a title, a description and examples; the form shows them.
    """

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        str_strip_whitespace=True,
        hide_input_in_errors=True,
    )

    @model_validator(mode="before")
    @classmethod
    def _drop_empty(cls, raw: Any) -> Any:
        """Take an optional field that was left empty in a form as not given."""
        if not isinstance(raw, Mapping):
            return raw
        optional = {name for name, field in cls.model_fields.items() if not field.is_required()}
        return {
            name: value
            for name, value in raw.items()
            if not (name in optional and (value is None or value == ""))
        }


ConfigT = TypeVar("ConfigT", bound=PluginConfig)


@dataclass(frozen=True, slots=True, kw_only=True)
class SmtpDefaults:
    """The operator's mail server, for channels that name none."""

    server: str | None = None
    port: int = 587
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    sender: str | None = None
    """The From address; the user name when unset."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TwilioDefaults:
    """The operator's Twilio account, for channels that name none."""

    account_sid: str | None = None
    auth_token: str | None = field(default=None, repr=False)
    from_number: str | None = None
    api_url: str = "https://api.twilio.com"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outbound:
    """All that a plugin may use to reach the world. It reads no environment."""

    http: HttpClient
    """For addresses that people enter: guarded against private targets unless the operator allows them."""
    operator_http: HttpClient
    """For addresses that the operator set, e.g. TWILIO_API_URL: these may be private."""
    allow_private_targets: bool = False
    smtp: SmtpDefaults = SmtpDefaults()
    twilio: TwilioDefaults = TwilioDefaults()
    mail_tls: ssl.SSLContext = field(default_factory=tls_context, repr=False)
    """What authorities are trusted for mail servers; from `sockets.tls_context`."""
    timeout: float = 10.0
    """Seconds that one send may take in all."""


class AlertPlugin(ABC, Generic[ConfigT]):
    """One kind of destination. Instances are shared between threads and keep no state of a send."""

    type: ClassVar[str]
    """The stable name in the API and the database, e.g. `slack`."""
    label: ClassVar[str]
    """The name that people read, e.g. `Slack`."""
    summary: ClassVar[str]
    """One sentence for the page where people choose a plugin."""
    Config: builtins.type[ConfigT]
    """The model of its configuration."""

    @abstractmethod
    def build(self, envelope: Envelope, config: ConfigT) -> Any:
        """Return what will be sent. Pure: no I/O, no clock."""

    @abstractmethod
    def send(self, envelope: Envelope, config: ConfigT, outbound: Outbound) -> str:
        """Hand the alert over and return what the receiver said, in a few words.

        Raises TemporaryFailure (try again) or PermanentFailure (a dead letter). Must end within
        `outbound.timeout` seconds.
        """

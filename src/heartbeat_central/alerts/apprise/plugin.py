"""Alerts to the long tail of services, through the Apprise library."""

from typing import Annotated, Any

from pydantic import AfterValidator, Field

from heartbeat_central.alerts.apprise import schemas
from heartbeat_central.alerts.apprise.process import Worker
from heartbeat_central.alerts.base import AlertPlugin, Outbound, PluginConfig
from heartbeat_central.alerts.fields import SecretUrl
from heartbeat_central.alerts.outcome import redacted
from heartbeat_central.alerts.targets import SETTING
from heartbeat_central.alerts.words import cut, listed, one_line
from heartbeat_central.domain.alert import (
    Alert,
    Envelope,
    Tone,
    facts,
    rows,
    subject,
    summary,
    tone,
)
from heartbeat_central.domain.errors import PermanentFailure, TemporaryFailure

LONGEST_TITLE = 250
LONGEST_LINE = 500
LONGEST_LIST = 1200
"""Of a digest: most of the services take 2,000 characters or more."""
LONGEST_ROW = 120
_TYPES = {Tone.ALARM: "failure", Tone.ALL_CLEAR: "success", Tone.NEUTRAL: "info"}


def _apprise_url(url: SecretUrl) -> SecretUrl:
    schemas.check(url.get_secret_value())
    return url


class AppriseConfig(PluginConfig):
    """Where to send it."""

    url: Annotated[SecretUrl, AfterValidator(_apprise_url)] = Field(
        title="Apprise URL",
        description="One URL, as described at https://appriseit.com/services/.",
        examples=["gotify://gotify.example.com/token", "tgram://bottoken/chatid"],
        max_length=2000,
    )


class ApprisePlugin(AlertPlugin[AppriseConfig]):
    """Runs Apprise in a process of its own, under a guard and a deadline."""

    type = "apprise"
    label = "Apprise"
    summary = "Reaches over a hundred other services by an Apprise URL, such as Telegram or ntfy."
    Config = AppriseConfig

    def __init__(self) -> None:
        self._worker = Worker()

    def build(self, envelope: Envelope, config: AppriseConfig) -> dict[str, Any]:
        """Return what the worker is asked for, but for the guard and the time."""
        return {
            "url": config.url.get_secret_value(),
            "title": cut(one_line(subject(envelope.alert)), LONGEST_TITLE),
            "body": _body(envelope.alert),
            "type": _TYPES[tone(envelope.alert)],
        }

    def send(self, envelope: Envelope, config: AppriseConfig, outbound: Outbound) -> str:
        """Have it sent. Apprise doesn't tell why it failed, so that a failure counts as temporary."""
        job = {
            **self.build(envelope, config),
            "guarded": not outbound.http.targets.allow_private,
            # A little less, so that the worker's words arrive before the wait for them ends.
            "timeout": outbound.timeout * 0.9,
        }
        answer = self._worker.ask(job, timeout=outbound.timeout)
        url = config.url.get_secret_value()
        said = cut(redacted(one_line(" ".join(answer["said"])), schemas.secrets_of(url)), 300)
        schema = schemas.check(url)
        match answer["outcome"]:
            case "ok":
                return f"handed over by Apprise ({schema})"
            case "invalid":
                raise PermanentFailure(f"Apprise can't read this {schema}:// URL: {said}")
            case "blocked":
                where = schemas.host_of(url) if schema in schemas.NAMES_A_HOST else schema
                raise PermanentFailure(
                    f"{where} leads to a private address, which channels may not reach; "
                    f"the operator can allow it with {SETTING}=true"
                )
        raise TemporaryFailure(
            f"Apprise could not deliver by {schema}: {said or 'no reason given'}"
        )

    def close(self) -> None:
        """End the worker process."""
        self._worker.close()


def _body(alert: Alert) -> str:
    # Services cut a long body at its end; cut line by line, the link stays.
    lines = [f"{row.label}: {row.value}" for row in rows(alert)]
    return "\n".join(
        [
            cut(one_line(summary(alert)), LONGEST_LINE),
            *listed((cut(one_line(line), LONGEST_ROW) for line in lines), LONGEST_LIST),
            *(cut(one_line(f"{fact.label}: {fact.value}"), LONGEST_LINE) for fact in facts(alert)),
        ]
    )

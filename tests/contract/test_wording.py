"""What a person woken at night reads: what, since when, why, the last heartbeat, how long, where."""

from dataclasses import replace
from datetime import timedelta

import pytest

from heartbeat_central.alerts import config as plugin_config
from heartbeat_central.alerts.base import Outbound
from heartbeat_central.alerts.registry import Registry
from heartbeat_central.domain.alert import Alert, AlertKind
from heartbeat_central.domain.incident import Incident, Reason
from tests.contract.destinations import DESTINATIONS, Destination
from tests.support.receivers.certificates import Certificates
from tests.support.sample_alerts import NOON, alert, envelope

UP_AGAIN = NOON + timedelta(hours=5, minutes=1)
BEFORE = NOON - timedelta(hours=24)
MISSED = Incident(
    id=3, application_id=7, reason=Reason.MISSED, opened_at=NOON, last_heartbeat_at=BEFORE
)


def outage(kind: AlertKind, reason: Reason, exit_status: int | None = None) -> Alert:
    """Return an alert of an outage that begins at noon; it ends at 17:01 when `kind` is UP."""
    closed_at = UP_AGAIN if kind is AlertKind.UP else None
    usual = alert(kind=kind)
    assert usual.application is not None
    return replace(
        usual,
        application=replace(usual.application, last_heartbeat=closed_at or BEFORE),
        incident=replace(MISSED, reason=reason, exit_status=exit_status, closed_at=closed_at),
        created_at=closed_at or NOON,
    )


DOWN = ["Nightly backup", "Down since", "2026-11-23 12:00:00 UTC"]
LAST = ["Last heartbeat", "2026-11-22 12:00:00 UTC"]
LINK = ["https://hc.example/applications/7"]


@pytest.mark.parametrize("destination", DESTINATIONS, ids=lambda destination: destination.type)
@pytest.mark.parametrize(
    ("told", "words"),
    [
        (
            outage(AlertKind.DOWN, Reason.MISSED),
            [*DOWN, "missed its heartbeat", *LAST, *LINK],
        ),
        (
            replace(
                outage(AlertKind.DOWN, Reason.MISSED),
                incident=replace(MISSED, last_heartbeat_at=None),
            ),
            [*DOWN, "never sent a heartbeat", "Last heartbeat", "never", *LINK],
        ),
        (
            outage(AlertKind.DOWN, Reason.FAILED, 3),
            [*DOWN, "failed with exit status 3", *LAST, *LINK],
        ),
        (
            outage(AlertKind.DOWN, Reason.UNFINISHED),
            [*DOWN, "started and did not finish in time", *LAST, *LINK],
        ),
        (
            outage(AlertKind.UP, Reason.MISSED),
            [
                "Nightly backup",
                "up again after 5 h 1 min",
                "Down since",
                "2026-11-23 12:00:00 UTC",
                "missed its heartbeat",
                "Last heartbeat before the outage",
                "2026-11-22 12:00:00 UTC",
                *LINK,
            ],
        ),
    ],
    ids=["missed", "never came", "failed", "unfinished", "recovered"],
)
def test_says_all_that_is_needed_at_night(
    registry: Registry,
    outbound: Outbound,
    certificates: Certificates,
    destination: Destination,
    told: Alert,
    words: list[str],
) -> None:
    plugin = registry.get(destination.type)
    with destination.behaving("accepts", outbound, certificates) as running:
        config = plugin_config.validate(plugin, running.config)
        plugin.send(replace(envelope(), alert=told), config, running.outbound)
        [text] = running.texts()
    for word in words:
        assert word in text, text

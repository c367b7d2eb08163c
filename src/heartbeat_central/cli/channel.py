"""`heartbeat-central channel`: where alerts go."""

import click

from heartbeat_central.cli.context import load_settings, now, ready
from heartbeat_central.cli.failures import CommandFailed


@click.group()
def channel() -> None:
    """Try out where alerts go."""


@channel.command()
@click.argument("channel_id", metavar="ID", type=int)
def test(channel_id: int) -> None:
    """Send a test through the channel with this ID, now, and say what the receiver answered."""
    from heartbeat_central import wiring
    from heartbeat_central.alerts.registry import build_registry
    from heartbeat_central.services.default_project import default_project_id
    from heartbeat_central.services.deliver_alerts import Sender
    from heartbeat_central.services.test_channel import test_channel
    from heartbeat_central.settings import resolve_secret_key
    from heartbeat_central.storage.secrets import SecretBox

    settings = load_settings()
    with ready(settings) as database:
        sender = Sender(
            database,
            build_registry(),
            SecretBox([resolve_secret_key(settings)]),
            wiring.outbound(settings),
        )
        outcome = test_channel(
            sender,
            default_project_id(database, now=now()),
            channel_id,
            base_url=settings.base_url,
            clock=now,
        )
    if not outcome.ok:
        raise CommandFailed(f"The test was not delivered: {outcome.detail.rstrip('.')}.")
    click.echo(f"The test was delivered: {outcome.detail}", err=True)

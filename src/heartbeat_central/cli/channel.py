"""`heartbeat-central channel`: where alerts go."""

import click

from heartbeat_central.cli.context import load_settings, now, ready
from heartbeat_central.cli.failures import CommandFailed
from heartbeat_central.cli.output import ROW_ID


@click.group()
def channel() -> None:
    """Try out where alerts go."""


@channel.command(short_help="Send a test through a channel.")
@click.argument("channel_id", metavar="ID", type=ROW_ID)
def test(channel_id: int) -> None:
    """Send a test through the channel with this ID, now, and say what the receiver answered."""
    from heartbeat_central.services.default_project import default_project_id
    from heartbeat_central.services.test_channel import test_channel
    from heartbeat_central.wiring.telling import build_sender

    settings = load_settings()
    with ready(settings) as database:
        outcome = test_channel(
            build_sender(settings, database),
            default_project_id(database, now=now()),
            channel_id,
            base_url=settings.base_url,
            clock=now,
        )
    if not outcome.ok:
        raise CommandFailed(f"The test was not delivered: {outcome.detail.rstrip('.')}.")
    click.echo(f"The test was delivered: {outcome.detail}", err=True)

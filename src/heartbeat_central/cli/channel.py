"""`heartbeat-central channel`: where alerts go."""

import click

from heartbeat_central.cli.context import load_settings, now, ready


@click.group()
def channel() -> None:
    """Try out where alerts go."""


@channel.command()
@click.argument("channel_id", metavar="ID", type=int)
def test(channel_id: int) -> None:
    """Send a test through the channel with this ID, now, and say what the receiver answered."""
    from heartbeat_central import wiring
    from heartbeat_central.services.default_project import default_project_id
    from heartbeat_central.services.test_channel import test_channel

    settings = load_settings()
    with ready(settings) as database:
        at = now()
        project_id = default_project_id(database, now=at)
        sender = wiring.build_sender(settings, database)
        answer = test_channel(sender, project_id, channel_id, now=at)
    click.echo(f"Delivered: {answer}", err=True)

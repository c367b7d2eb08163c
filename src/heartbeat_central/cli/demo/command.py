"""`heartbeat-central demo`: see it work in a minute, with nothing of yours touched."""

import click


@click.command(short_help="Try it out: a throw-away instance that shows alerts.")
@click.option(
    "--port", type=click.IntRange(1, 65535), help="Port of the pages; 5000, or a free one if taken."
)
@click.option(
    "--seconds", type=click.FloatRange(min=1), help="End after this time instead of at Ctrl-C."
)
@click.option(
    "--speed",
    type=click.FloatRange(min=0.1, max=4),
    default=1.0,
    help="Play everything this many times as fast.",
)
def demo(port: int | None, seconds: float | None, speed: float) -> None:
    """Start a throw-away instance with simulated applications, and show the alerts they cause."""
    from heartbeat_central.cli.demo.show import run_demo

    run_demo(port=port, seconds=seconds, speed=speed)

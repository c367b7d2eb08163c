"""`heartbeat-central serve`: the service itself."""

import sys
from typing import TYPE_CHECKING

import click

from heartbeat_central.cli.context import load_settings, now, opened

if TYPE_CHECKING:
    from heartbeat_central.settings import Settings


@click.command(short_help="Run the service.")
@click.option(
    "--only",
    type=click.Choice(["record", "web", "monitor"]),
    help="Reserved: one process does every kind of work for now.",
)
@click.option("--workers", type=int, default=1, show_default=True, help="Reserved: must be 1.")
@click.option("--host", help="Address to listen on, instead of HOST.")
@click.option("--port", type=click.IntRange(1, 65535), help="Port, instead of PORT.")
def serve(only: str | None, workers: int, host: str | None, port: int | None) -> None:
    """Record heartbeats, notice the missing ones, tell people, and serve the pages and the API."""
    if workers != 1:
        raise click.UsageError("--workers is reserved: leave it out, for one process does it all.")
    if only is not None:
        raise click.UsageError("--only is reserved: leave it out, for one process does it all.")
    from heartbeat_central.logs import configure_logging

    settings = load_settings()
    given = {"host": host, "port": port}
    settings = settings.model_copy(
        update={name: value for name, value in given.items() if value is not None}
    )
    configure_logging()
    _prepare(settings)

    from heartbeat_central import wiring

    wiring.serve(settings)


def _prepare(settings: "Settings") -> None:
    """Find out all that would stop the service, bring the tables up to date, and say where it is."""
    from heartbeat_central.cli.first_start import prepare_first_start
    from heartbeat_central.cli.listening import check_port
    from heartbeat_central.settings import resolve_secret_key
    from heartbeat_central.storage.migrate import upgrade

    check_port(settings.host, settings.port)
    secret_key = resolve_secret_key(settings)
    with opened(settings) as database:
        upgrade(database)
        setup_url = prepare_first_start(database, settings, secret_key, now())
    _announce(settings.base_url, setup_url)


def _announce(base_url: str, setup_url: str | None) -> None:
    if sys.stderr.isatty():
        click.echo(f"Heartbeat Central: {base_url}", err=True)
        if setup_url:
            click.echo(f"There is no account yet. Make the first one:\n  {setup_url}", err=True)
        return
    # Every line on stderr is JSON then, so that whatever collects it can read these as well.
    import structlog

    log = structlog.get_logger(__name__)
    log.info("service_starting", base_url=base_url)
    if setup_url:
        log.info("no_account_yet", make_the_first_one_at=setup_url)

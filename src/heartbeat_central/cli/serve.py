"""`heartbeat-central serve`: the service itself, or a part of it."""

import gc
import signal
import sys
import tempfile
from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from heartbeat_central.cli.context import load_settings, now, opened
from heartbeat_central.cli.failures import CommandFailed
from heartbeat_central.domain.work import EVERYTHING, Work

if TYPE_CHECKING:
    import socket

    from heartbeat_central.settings import Settings


@click.command(short_help="Run the service.")
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Processes that share the port; more than one needs PostgreSQL.",
)
@click.option(
    "--only",
    type=click.Choice([work.value for work in Work]),
    help="Do one kind of work and leave the others to other processes; needs PostgreSQL.",
)
@click.option("--host", help="Address to listen on, instead of HOST.")
@click.option("--port", type=click.IntRange(1, 65535), help="Port, instead of PORT.")
def serve(workers: int, only: str | None, host: str | None, port: int | None) -> None:
    """Record heartbeats, notice the missing ones, tell people, and serve the pages and the API."""
    # The first process of a container ignores a signal that nobody handles, and until the server runs
    # nobody would.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))

    from heartbeat_central.cli.listening import check_port
    from heartbeat_central.logs import configure_logging

    settings = load_settings()
    given = {"host": host, "port": port}
    settings = settings.model_copy(
        update={name: value for name, value in given.items() if value is not None}
    )
    does = EVERYTHING if only is None else frozenset({Work(only)})
    _check_split(settings, workers, only)
    configure_logging()
    # First of all: who asks for a port that is taken should find nothing begun.
    check_port(settings.host, settings.port)
    with _sole(settings):
        _prepare(settings, does)
        if workers > 1:
            _supervise(settings, workers, does)
            return
        from heartbeat_central.wiring import serving

        serving.serve(settings, does=does)


def _sole(settings: "Settings") -> AbstractContextManager[None]:
    """Return what keeps another `serve` from the same SQLite file. Raises SettingsError."""
    from heartbeat_central.cli.sole_service import sole_service
    from heartbeat_central.settings import ensure_data_dir

    if settings.database is None:
        ensure_data_dir(settings)
    return sole_service(settings.sqlite_file)


def _check_split(settings: "Settings", workers: int, only: str | None) -> None:
    if workers == 1 and only is None:
        return
    option = f"--only {only}" if only else f"--workers {workers}"
    if settings.uses_sqlite:
        raise CommandFailed(
            f"On SQLite one process does all the work, so {option} can't be used; set DATABASE_URL "
            "to a PostgreSQL database, or leave the option out."
        )
    if only and settings.base_url_given is None:
        raise CommandFailed(
            f"{option} needs BASE_URL: heartbeats and people come through a reverse proxy, and "
            "heartbeat URLs and alerts name its address; set it, the same for every process."
        )


def _prepare(settings: "Settings", does: Collection[Work]) -> None:
    """Find out all that would stop the service, bring the tables up to date, and say where it is."""
    from heartbeat_central.cli.first_start import prepare_first_start
    from heartbeat_central.services.prune_history import make_room
    from heartbeat_central.settings import resolve_secret_key
    from heartbeat_central.storage import pooler
    from heartbeat_central.storage.migrate import upgrade

    secret_key = resolve_secret_key(settings)
    with opened(settings) as database:
        if pooler.is_pooled_by_transaction(database):
            raise CommandFailed(f"{pooler.FOUND}; {pooler.REMEDY}.")
        upgrade(database)
        make_room(database, now=now())
        setup_url = None
        if Work.WEB in does:
            setup_url = prepare_first_start(database, settings, secret_key, now())
    _announce(settings.base_url, setup_url, does)


def _supervise(settings: "Settings", workers: int, does: Collection[Work]) -> None:
    """Keep so many workers running until SIGTERM or SIGINT."""
    from heartbeat_central.cli.listening import shared_listening
    from heartbeat_central.cli.supervisor import Supervisor
    from heartbeat_central.metrics import Shared, forget
    from heartbeat_central.wiring import serving

    with tempfile.TemporaryDirectory(prefix="heartbeat-central-metrics-") as name:
        folder = Path(name)

        def run(worker: int, sockets: "Sequence[socket.socket]") -> None:
            serving.serve(settings, does=does, sockets=sockets, shared=Shared(folder, worker))

        supervisor = Supervisor(
            workers,
            run,
            listen=shared_listening(settings.host, settings.port),
            on_ended=lambda worker: forget(Shared(folder, worker)),
        )
        serving.preload(does)
        # What the workers have in common stays in common: a collection would write to all of it.
        gc.collect()
        gc.freeze()
        supervisor.run()


def _announce(base_url: str, setup_url: str | None, does: Collection[Work]) -> None:
    if sys.stderr.isatty():
        click.echo(f"Heartbeat Central: {base_url}", err=True)
        if setup_url:
            click.echo(f"There is no account yet. Make the first one:\n  {setup_url}", err=True)
        return
    # Every line on stderr is JSON then, so that whatever collects it can read these as well.
    import structlog

    log = structlog.get_logger(__name__)
    log.info("service_starting", base_url=base_url, does=sorted(does))
    if setup_url:
        log.info("no_account_yet", make_the_first_one_at=setup_url)

"""`heartbeat-central db`: the tables."""

import click

from heartbeat_central.cli.context import load_settings, opened


@click.group()
def db() -> None:
    """Look after the database."""


@db.command(short_help="Bring the tables up to date.")
def upgrade() -> None:
    """Bring the tables up to date; `serve` does so by itself when it starts."""
    from heartbeat_central.storage import migrate

    with opened(load_settings()) as database:
        before = migrate.current_revision(database)
        migrate.upgrade(database)
        after = migrate.current_revision(database)
    if after != migrate.newest_revision():
        click.echo(
            f"The tables are those of a newer version (revision {after}), and were left as they are; "
            f"this one, at {migrate.newest_revision()}, works with them.",
            err=True,
        )
    elif before == after:
        click.echo(f"The tables are up to date (revision {after}).", err=True)
    else:
        click.echo(f"The tables went from revision {before or 'none'} to {after}.", err=True)

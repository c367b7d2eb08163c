"""`heartbeat-central apikey`: keys of the REST API."""

import click

from heartbeat_central.cli.context import load_settings, now, ready
from heartbeat_central.cli.output import ROW_ID, show_table


@click.group()
def apikey() -> None:
    """Manage the keys of the REST API."""


@apikey.command()
@click.option(
    "--scope", type=click.Choice(["read", "write"]), required=True, help="What it may do."
)
@click.option("--name", default="", help="What it is for, to know it again in the list.")
def create(scope: str, name: str) -> None:
    """Make a key and print it, alone, on standard output. It is never shown again."""
    from heartbeat_central.services.default_project import default_project_id
    from heartbeat_central.services.manage_api_keys import create_api_key

    with ready(load_settings()) as database:
        at = now()
        project_id = default_project_id(database, now=at)
        key, made = create_api_key(
            database, project_id, name=name or f"{scope} key", scope=scope, now=at
        )
    click.echo(f"Key {made.id} ({scope}). Keep it: it is never shown again.", err=True)
    click.echo(key)


@apikey.command("list")
def list_() -> None:
    """List the keys; none is shown in full."""
    from heartbeat_central.services.default_project import default_project_id
    from heartbeat_central.services.manage_api_keys import list_api_keys

    with ready(load_settings()) as database:
        keys = list_api_keys(database, default_project_id(database, now=now()))
    show_table(
        ["id", "name", "scope", "begins with", "created", "revoked"],
        [(key.id, key.name, key.scope, key.prefix, key.created_at, key.revoked_at) for key in keys],
    )


@apikey.command()
@click.argument("key_id", metavar="ID", type=ROW_ID)
def revoke(key_id: int) -> None:
    """Make the key with this ID useless, at once and for good."""
    from heartbeat_central.services.default_project import default_project_id
    from heartbeat_central.services.manage_api_keys import revoke_api_key

    with ready(load_settings()) as database:
        at = now()
        revoke_api_key(database, default_project_id(database, now=at), key_id, now=at)
    click.echo(f"Key {key_id} is revoked.", err=True)

"""`heartbeat-central user`: who may sign in."""

import sys

import click

from heartbeat_central.cli.context import load_settings, now, ready


@click.group()
def user() -> None:
    """Manage the people who may sign in."""


@user.command()
@click.argument("email")
@click.option(
    "--password-stdin",
    is_flag=True,
    help="Take the password from the first line of standard input instead of asking for it.",
)
def add(email: str, password_stdin: bool) -> None:
    """Add an account for EMAIL."""
    from heartbeat_central.services import manage_accounts

    # Settings and database first: nobody should type a password for nothing.
    with ready(load_settings()) as database:
        password = _from_stdin() if password_stdin else _asked()
        first = manage_accounts.count_users(database) == 0
        # The first account owns the project, whichever way it is made.
        make = manage_accounts.create_first_account if first else manage_accounts.add_user
        make(database, email, password, now=now())
    click.echo(f"{email} can sign in now.", err=True)


def _from_stdin() -> str:
    return sys.stdin.readline().rstrip("\r\n")


def _asked() -> str:
    if not sys.stdin.isatty():
        raise click.UsageError(
            "There is no terminal to ask for the password on; pipe it in with --password-stdin."
        )
    return str(click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True))

"""The entry point: collects the commands, and ends every expected failure in one sentence."""

import sys
from collections.abc import Sequence

import click

from heartbeat_central import __version__
from heartbeat_central.cli.apikey import apikey
from heartbeat_central.cli.application import app
from heartbeat_central.cli.backup import backup
from heartbeat_central.cli.channel import channel
from heartbeat_central.cli.db import db
from heartbeat_central.cli.demo.command import demo
from heartbeat_central.cli.doctor import doctor
from heartbeat_central.cli.failures import explain
from heartbeat_central.cli.restore import restore
from heartbeat_central.cli.serve import serve
from heartbeat_central.cli.user import user

PROGRAM = "heartbeat-central"


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name=PROGRAM)
def cli() -> None:
    """Watch over applications and scheduled jobs: they call in, and you hear when one stays silent.

    Settings come from the environment and from .env in the current folder.
    """


for _command in (serve, db, user, apikey, app, channel, backup, restore, doctor, demo):
    cli.add_command(_command)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 1 failed for a reason it tells, 2 wrong usage."""
    try:
        cli.main(args=arguments, prog_name=PROGRAM)
    except Exception as error:
        sentences = explain(error)
        if sentences is None:
            raise
        for sentence in sentences.splitlines():
            click.echo(f"{PROGRAM}: {sentence}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()

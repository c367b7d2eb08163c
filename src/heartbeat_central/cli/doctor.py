"""`heartbeat-central doctor`: finds what is wrong before the night that it matters."""

import sys

import click

_MARKS = {"ok": ("ok", "green"), "note": ("note", "yellow"), "failed": ("FAILED", "red")}


@click.command()
def doctor() -> None:
    """Check the settings, the database and the surroundings. Exit status 1 when a check fails.

    Nothing is changed. Each line begins with a stable id that scripts may look for.
    """
    from heartbeat_central.cli.checks import State, run_checks

    failed = False
    for check in run_checks():
        mark, colour = _MARKS[check.state.value]
        failed |= check.state is State.FAILED
        # click drops the colours when stdout is no terminal.
        click.echo(f"{check.id:<16} {click.style(f'{mark:<7}', fg=colour)} {check.what}")
        if check.hint:
            click.echo(f"{'':<24} -> {check.hint}")
    sys.exit(1 if failed else 0)

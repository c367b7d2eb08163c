"""`heartbeat-central app`: the applications that are watched."""

from typing import TYPE_CHECKING

import click

from heartbeat_central.cli.context import load_settings, now, ready
from heartbeat_central.cli.output import ROW_ID, show_table

if TYPE_CHECKING:
    from heartbeat_central.domain.view import ApplicationView

PAGE = 1000
"""Applications read at once."""


@click.group()
def app() -> None:
    """Manage the applications that are watched."""


@app.command("list")
def list_() -> None:
    """List the applications with their status and heartbeat URL."""
    from heartbeat_central.services.default_project import default_project_id
    from heartbeat_central.services.list_applications import list_applications

    settings = load_settings()
    views: list[ApplicationView] = []
    with ready(settings) as database:
        at = now()
        project_id = default_project_id(database, now=at)
        while True:
            page = list_applications(
                database,
                project_id,
                now=at,
                base_url=settings.base_url,
                limit=PAGE,
                before_id=views[-1].id if views else None,
            )
            views += page
            if len(page) < PAGE:
                break
    show_table(
        ["id", "name", "status", "last heartbeat", "next expected", "heartbeat URL"],
        [
            (it.id, it.name, it.status, it.last_heartbeat, it.next_expected, it.heartbeat_url)
            for it in views
        ],
    )


@app.command(short_help="Watch an application and print its heartbeat URL.")
@click.argument("name")
@click.option("--interval", type=int, metavar="SECONDS", help="A heartbeat at least this often.")
@click.option("--grace", type=int, default=0, metavar="SECONDS", help="How late it may be.")
@click.option("--cron", metavar="EXPR", help="A heartbeat after each of these times: '30 2 * * *'.")
@click.option(
    "--oncalendar", metavar="EXPR", help="The same in systemd's words: 'Mon..Fri *-*-* 02:30'."
)
@click.option("--timezone", metavar="TZ", help="Time zone of these times, e.g. Europe/Vienna; UTC.")
@click.option(
    "--channel",
    "channels",
    type=ROW_ID,
    multiple=True,
    metavar="ID",
    help="Whom to tell; repeatable.",
)
def add(
    name: str,
    interval: int | None,
    grace: int,
    cron: str | None,
    oncalendar: str | None,
    timezone: str | None,
    channels: tuple[int, ...],
) -> None:
    """Watch an application called NAME and print its heartbeat URL, alone, on standard output."""
    if [interval, cron, oncalendar].count(None) != 2:
        raise click.UsageError("Give one of --interval, --cron and --oncalendar.")
    if timezone is not None and interval is not None:
        raise click.UsageError("--timezone belongs to --cron and --oncalendar.")

    from heartbeat_central.domain.application import settings_from
    from heartbeat_central.services.default_project import default_project_id
    from heartbeat_central.services.manage_applications import create_application

    schedule = None
    for kind, expression in (("cron", cron), ("oncalendar", oncalendar)):
        if expression is not None:
            schedule = {"kind": kind, "expression": expression, "timezone": timezone or "UTC"}
    wanted = settings_from(
        name=name, expected_interval=interval, schedule=schedule, grace_period=grace
    )
    settings = load_settings()
    with ready(settings) as database:
        at = now()
        view = create_application(
            database,
            default_project_id(database, now=at),
            wanted,
            channels=channels,
            now=at,
            base_url=settings.base_url,
        )
    click.echo(f"{view.name} is watched from now on (id {view.id}).", err=True)
    click.echo(view.heartbeat_url)

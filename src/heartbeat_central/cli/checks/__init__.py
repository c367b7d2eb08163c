"""The checks of `heartbeat-central doctor`, in the order in which they are told."""

from collections.abc import Iterator

from heartbeat_central.cli.checks import database, surroundings
from heartbeat_central.cli.checks.check import Check, CheckId, State
from heartbeat_central.cli.context import load_settings
from heartbeat_central.settings import SettingsError

__all__ = ["Check", "CheckId", "State", "run_checks"]


def run_checks() -> Iterator[Check]:
    """Yield the findings one by one. What can't be told because an earlier check failed is left out.

    Changes nothing: no folder, key or table is made.
    """
    try:
        settings = load_settings()
    except SettingsError as error:
        for problem in error.problems:
            yield Check(
                CheckId.SETTINGS,
                State.FAILED,
                problem.sentence,
                "see docs/reference/settings.md",
            )
        return
    yield Check(CheckId.SETTINGS, State.OK, f"Readable; the service is at {settings.base_url}.")
    yield surroundings.data_folder(settings)
    health = surroundings.ask_health(settings)
    yield from database.checks(settings, is_running=health is not None)
    yield surroundings.port(settings, health)
    yield surroundings.private_targets(settings)
    if settings.smtp_server is not None:
        yield surroundings.mail_server(settings)
    yield surroundings.watchdog(settings)

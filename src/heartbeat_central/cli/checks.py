"""The checks of `heartbeat-central doctor`. Their ids are stable: docs and scripts name them."""

import http.client
import smtplib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import TYPE_CHECKING

from heartbeat_central.cli.context import load_settings, now
from heartbeat_central.cli.failures import CannotListen, explain
from heartbeat_central.cli.listening import check_port
from heartbeat_central.settings import (
    Settings,
    SettingsError,
    ensure_data_dir,
    kept_secret_key,
)

if TYPE_CHECKING:
    from heartbeat_central.storage.engine import Database

MADE = datetime(2026, 1, 1, tzinfo=UTC)
"""No clock that is right shows a time before this program was written."""
SKEW = timedelta(seconds=2)
"""How far this machine and the database may differ; more would shift every deadline noticeably."""
PATIENCE = 5.0
"""Seconds to wait for an answer over the network."""


class State(Enum):
    """How a check ended."""

    OK = "ok"
    NOTE = "note"
    """Nothing is broken, but worth knowing."""
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Check:
    """One finding."""

    id: str
    state: State
    what: str
    """What was found, as one sentence."""
    hint: str = ""
    """What to do about it; empty when there is nothing to do."""


def run_checks() -> Iterator[Check]:
    """Yield the findings one by one. What can't be told because an earlier check failed is left out.

    Changes nothing: no folder, key or table is made.
    """
    try:
        settings = load_settings()
    except SettingsError as error:
        for problem in error.problems:
            yield Check(
                "settings", State.FAILED, problem.sentence, "see docs/reference/settings.md"
            )
        return
    yield Check("settings", State.OK, f"Readable; the service is at {settings.base_url}.")
    yield _data_folder(settings)
    yield from _database(settings)
    yield _port(settings)
    yield _private_targets(settings)
    if settings.smtp_server is not None:
        yield _mail_server(settings)


def _data_folder(settings: Settings) -> Check:
    if settings.database is not None and settings.secret_key is not None:
        return Check("data-folder", State.OK, "Not needed: DATABASE_URL and SECRET_KEY are set.")
    if not settings.data_dir.exists():
        return Check("data-folder", State.NOTE, f"{settings.data_dir} is made at the first start.")
    try:
        ensure_data_dir(settings)
    except SettingsError as error:
        return Check("data-folder", State.FAILED, str(error), "mend its owner and mode")
    return Check("data-folder", State.OK, f"{settings.data_dir} can be written.")


def _database(settings: Settings) -> Iterator[Check]:
    from heartbeat_central.storage.engine import open_database

    if settings.sqlite_file is not None and not settings.sqlite_file.exists():
        yield Check("database", State.NOTE, "There is no SQLite file yet; `serve` makes it.")
        yield _clock(None)
        return
    try:
        database = open_database(settings.database_url)
        try:
            database.ping()
            yield Check("database", State.OK, f"{database.dialect} answers.")
            yield from _inside(settings, database)
        finally:
            database.close()
    except Exception as error:
        what = explain(error)
        if what is None:
            raise
        yield Check(
            "database",
            State.FAILED,
            what,
            "docs/reference/settings.md shows the form of DATABASE_URL",
        )
        yield _clock(None)


def _inside(settings: Settings, database: "Database") -> Iterator[Check]:
    from heartbeat_central.storage.clock import database_time
    from heartbeat_central.storage.migrate import current_revision, newest_revision

    revision, newest = current_revision(database), newest_revision()
    if revision == newest:
        yield Check("schema", State.OK, f"The tables are up to date (revision {revision}).")
        yield _secret_key(settings, database)
    elif revision is None:
        yield Check("schema", State.NOTE, "There are no tables yet; `serve` makes them.")
    else:
        yield Check(
            "schema",
            State.FAILED,
            f"The tables are at revision {revision}, this program needs {newest}.",
            "run `heartbeat-central db upgrade`, or use the version that made them",
        )
    yield _clock(database_time(database))


def _secret_key(settings: Settings, database: "Database") -> Check:
    try:
        key = kept_secret_key(settings)
    except SettingsError as error:
        return Check("secret-key", State.FAILED, str(error), "put the file back from a backup")
    sealed = list(_sealed_configs(database))
    if key is None and not sealed:
        return Check("secret-key", State.NOTE, "There is none yet; `serve` makes it.")
    closed = len(sealed) if key is None else _not_opened(key, sealed)
    if closed:
        return Check(
            "secret-key",
            State.FAILED,
            f"It does not open the configuration of {closed} of {len(sealed)} channels.",
            "set the former SECRET_KEY, or enter those channels' configurations anew",
        )
    if settings.secret_key is None and not settings.uses_sqlite:
        return Check(
            "secret-key",
            State.NOTE,
            "It is kept on this machine alone, and every node needs the same one.",
            "set SECRET_KEY before you start a second node",
        )
    return Check(
        "secret-key", State.OK, f"It opens the configurations of all {len(sealed)} channels."
    )


def _sealed_configs(database: "Database") -> Iterator[str]:
    from heartbeat_central.storage import channels, projects

    with database.read() as connection:
        project_id = projects.first_id(connection)
        if project_id is None:
            return
        before_id = None
        while page := channels.page(connection, project_id, limit=1000, before_id=before_id):
            yield from (channel.sealed_config for channel in page)
            before_id = page[-1].id


def _not_opened(key: str, sealed: Sequence[str]) -> int:
    from heartbeat_central.storage.secrets import SecretBox, WrongSecretKey

    box, closed = SecretBox([key]), 0
    for config in sealed:
        try:
            box.open(config)
        except WrongSecretKey:
            closed += 1
    return closed


def _clock(database_time: datetime | None) -> Check:
    at = now()
    if at < MADE:
        return Check("clock", State.FAILED, f"It shows {at:%Y-%m-%d}.", "set the clock; use NTP")
    if database_time is not None and abs(at - database_time) > SKEW:
        apart = abs(at - database_time).total_seconds()
        return Check(
            "clock",
            State.FAILED,
            f"This machine and the database differ by {apart:.1f} s.",
            "keep both in time with NTP; deadlines are judged by this machine's clock",
        )
    return Check("clock", State.OK, f"It shows {at:%Y-%m-%d %H:%M:%S} UTC.")


def _port(settings: Settings) -> Check:
    where = f"{settings.host} port {settings.port}"
    try:
        check_port(settings.host, settings.port)
    except CannotListen as error:
        answer = _health(settings)
        if answer == 200:
            return Check("port", State.OK, f"The service is running on {where} and healthy.")
        if answer == 503:
            return Check(
                "port",
                State.FAILED,
                f"The service is running on {where} and says that it is not healthy.",
                f"open {settings.base_url}/health to see which part",
            )
        return Check("port", State.FAILED, str(error), "free it, or choose another")
    return Check("port", State.OK, f"{where} is free; the service is not running here.")


def _health(settings: Settings) -> int | None:
    """Return the status with which our own service answers; None when something else does."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104
    connection = http.client.HTTPConnection(host, settings.port, timeout=PATIENCE)
    try:
        connection.request("GET", "/health")
        answer = connection.getresponse()
        ours = b'"detector"' in answer.read(65_536)
        return answer.status if ours else None
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def _private_targets(settings: Settings) -> Check:
    if settings.allow_private_targets:
        return Check(
            "private-targets",
            State.NOTE,
            "Channels may reach private addresses.",
            "unset HEARTBEAT_ALLOW_PRIVATE_TARGETS unless you trust all who may add channels",
        )
    return Check("private-targets", State.OK, "Channels may not reach private addresses.")


def _mail_server(settings: Settings) -> Check:
    assert settings.smtp_server is not None
    where = f"{settings.smtp_server} port {settings.smtp_port}"
    connect: Callable[..., smtplib.SMTP] = smtplib.SMTP
    if settings.smtp_port == 465:
        connect = smtplib.SMTP_SSL
    try:
        with connect(settings.smtp_server, settings.smtp_port, timeout=PATIENCE) as server:
            server.noop()
    except (OSError, smtplib.SMTPException) as error:
        return Check(
            "mail-server",
            State.FAILED,
            f"{where} does not answer as a mail server ({error}).",
            "correct SMTP_SERVER and SMTP_PORT, or open the way through the firewall",
        )
    if settings.smtp_from is None and settings.smtp_username is None:
        return Check(
            "mail-server",
            State.NOTE,
            f"{where} answers, but mails have no sender.",
            "set SMTP_FROM",
        )
    return Check("mail-server", State.OK, f"{where} answers.")

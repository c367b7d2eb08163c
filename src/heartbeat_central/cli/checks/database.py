"""Checks of the database, of what is in it, and of the clock."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from heartbeat_central.cli.checks import work
from heartbeat_central.cli.checks.check import Check, CheckId, State
from heartbeat_central.cli.context import now
from heartbeat_central.cli.failures import explain
from heartbeat_central.settings import Settings, SettingsError, kept_secret_key

if TYPE_CHECKING:
    from heartbeat_central.storage.engine import Database

MADE = datetime(2026, 1, 1, tzinfo=UTC)
"""No clock that is right shows a time before this program was written."""
SKEW = timedelta(seconds=2)
"""How far this machine and the database may differ; more would shift every deadline noticeably."""


def checks(settings: Settings, *, is_running: bool) -> Iterator[Check]:
    """Yield what is found, as far as the database answers."""
    from heartbeat_central.storage import pooler
    from heartbeat_central.storage.clock import version
    from heartbeat_central.storage.engine import open_database

    if settings.sqlite_file is not None and not settings.sqlite_file.exists():
        yield Check(CheckId.DATABASE, State.NOTE, "There is no SQLite file yet; `serve` makes it.")
        yield _clock(None)
        return
    try:
        database = open_database(settings.database_url)
        try:
            database.ping()
            if pooler.is_pooled_by_transaction(database):
                yield Check(CheckId.DATABASE, State.FAILED, f"{pooler.FOUND}.", pooler.REMEDY)
            else:
                yield Check(CheckId.DATABASE, State.OK, f"{version(database)} answers.")
            yield from _inside(settings, database, is_running)
        finally:
            database.close()
    except Exception as error:
        what = explain(error)
        if what is None:
            raise
        yield Check(
            CheckId.DATABASE,
            State.FAILED,
            what,
            "docs/reference/settings.md shows the form of DATABASE_URL",
        )
        yield _clock(None)


def _inside(settings: Settings, database: "Database", is_running: bool) -> Iterator[Check]:
    from heartbeat_central.services.examine import examine
    from heartbeat_central.storage.clock import database_time
    from heartbeat_central.storage.migrate import current_revision, fits, newest_revision

    revision, newest = current_revision(database), newest_revision()
    usable = fits(database)
    if revision == newest:
        yield Check(CheckId.SCHEMA, State.OK, f"The tables are up to date (revision {revision}).")
        yield _secret_key(settings, database)
    elif usable:
        yield Check(
            CheckId.SCHEMA,
            State.NOTE,
            f"The tables are those of a newer version (revision {revision}), which this one works "
            f"with: it knows those up to {newest}.",
            "bring this node up to date as well",
        )
        yield _secret_key(settings, database)
    elif revision is None:
        yield Check(CheckId.SCHEMA, State.NOTE, "There are no tables yet; `serve` makes them.")
    else:
        yield Check(
            CheckId.SCHEMA,
            State.FAILED,
            f"The tables are at revision {revision}, this program needs {newest}.",
            "run `heartbeat-central db upgrade`, or use the version that made them",
        )
    yield _clock(database_time(database))
    if usable:
        at = now()
        yield from work.checks(examine(database, now=at), now=at, is_running=is_running)
        yield from _channels(settings, database)


def _secret_key(settings: Settings, database: "Database") -> Check:
    from heartbeat_central.services.examine import stored_channels

    try:
        key = kept_secret_key(settings)
    except SettingsError as error:
        return Check(
            CheckId.SECRET_KEY, State.FAILED, str(error), "put the file back from a backup"
        )
    sealed = [channel.sealed_config for channel in stored_channels(database)]
    if key is None and not sealed:
        return Check(CheckId.SECRET_KEY, State.NOTE, "There is none yet; `serve` makes it.")
    closed = len(sealed) if key is None else _not_opened(key, sealed)
    if closed:
        return Check(
            CheckId.SECRET_KEY,
            State.FAILED,
            f"It does not open the configuration of {closed} of {len(sealed)} channels.",
            "set the former SECRET_KEY, or enter those channels' configurations anew",
        )
    if settings.secret_key is None and not settings.uses_sqlite:
        return Check(
            CheckId.SECRET_KEY,
            State.NOTE,
            "It is kept on this machine alone, and every node needs the same one.",
            "set SECRET_KEY before you start a second node",
        )
    return Check(
        CheckId.SECRET_KEY, State.OK, f"It opens the configurations of all {len(sealed)} channels."
    )


def _channels(settings: Settings, database: "Database") -> Iterator[Check]:
    from heartbeat_central.alerts.registry import build_registry
    from heartbeat_central.services.examine import closed_channels
    from heartbeat_central.storage.secrets import SecretBox

    try:
        key = kept_secret_key(settings)
    except SettingsError:
        return  # That is what `secret-key` tells.
    # Without a key none has been stored yet, or `secret-key` tells that it is lost.
    closed = {} if key is None else closed_channels(database, build_registry(), SecretBox([key]))
    yield work.named(
        CheckId.CHANNELS,
        closed,
        "All can be opened.",
        "can't send anything",
        "enter the configuration anew on its page, or put back its plugin or the former SECRET_KEY",
    )


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
        return Check(
            CheckId.CLOCK, State.FAILED, f"It shows {at:%Y-%m-%d}.", "set the clock; use NTP"
        )
    if database_time is not None and abs(at - database_time) > SKEW:
        apart = abs(at - database_time).total_seconds()
        return Check(
            CheckId.CLOCK,
            State.FAILED,
            f"This machine and the database differ by {apart:.1f} s.",
            "keep both in time with NTP; deadlines are judged by this machine's clock",
        )
    return Check(CheckId.CLOCK, State.OK, f"It shows {at:%Y-%m-%d %H:%M:%S} UTC.")

"""Looks through what is stored for what is wrong, without changing anything: for `doctor`."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from heartbeat_central.alerts import config as plugin_config
from heartbeat_central.alerts.registry import Registry
from heartbeat_central.domain.blind_window import BlindWindow, Span
from heartbeat_central.domain.errors import HeartbeatCentralError
from heartbeat_central.storage import (
    applications,
    blind_windows,
    channels,
    counts,
    dead_letters,
    nodes,
    overview,
    projects,
    states,
)
from heartbeat_central.storage.channels import Channel
from heartbeat_central.storage.engine import Connection, Database
from heartbeat_central.storage.secrets import SecretBox

LATELY = timedelta(days=1)
"""How far back blind windows are worth a word."""
PAGE = 1_000
"""Rows at once."""
MOST_DEAD = 1_000
"""Dead letters; more are not counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What is stored, as far as it tells how the service is."""

    heard_until: datetime | None
    """When a process last proved that it could take heartbeats; None: never."""
    next_check_at: datetime | None
    """When the next application must be judged, which may be long ago; None: none awaits it."""
    waiting: int
    """Deliveries that are not finished."""
    oldest_due_at: datetime | None
    """When the first of them is due."""
    dead: int
    """Dead letters of channels that delivered nothing since, up to MOST_DEAD."""
    windows: Sequence[BlindWindow]
    """The blind ones that ended LATELY."""
    unreadable: Mapping[int, str]
    """Why applications, by id, can't be judged."""


def examine(database: Database, *, now: datetime) -> Findings:
    """Return what is found. Raises StorageUnavailable."""
    with database.read() as connection:
        project_id = projects.first_id(connection)
        oldest = counts.oldest_pending(connection)
        dead, unreadable = 0, {}
        if project_id is not None:
            dead = dead_letters.count_unmended(connection, project_id, most=MOST_DEAD)
            unreadable = _unreadable(connection, project_id, now)
        return Findings(
            heard_until=nodes.last_seen(connection),
            next_check_at=states.earliest_check(connection),
            waiting=counts.unfinished_deliveries(connection)["pending"],
            oldest_due_at=oldest.due_at,
            dead=dead,
            windows=blind_windows.since(connection, now - LATELY).overlapping(
                [Span(now - LATELY, now)]
            ),
            unreadable=unreadable,
        )


def closed_channels(
    database: Database, registry: Registry, secret_box: SecretBox
) -> Mapping[int, str]:
    """Return why channels, by id, can't send anything. Raises StorageUnavailable."""
    found = {}
    for channel in stored_channels(database):
        try:
            plugin = registry.get(channel.type)
            plugin_config.validate(plugin, secret_box.open(channel.sealed_config))
        except HeartbeatCentralError as error:
            found[channel.id] = f"{channel.name}: {error}"
        except Exception as error:
            found[channel.id] = f"{channel.name}: {type(error).__name__}"
    return found


def stored_channels(database: Database) -> Iterator[Channel]:
    """Yield every channel. Raises StorageUnavailable."""
    with database.read() as connection:
        project_id = projects.first_id(connection)
        if project_id is None:
            return
        before_id = None
        while page := channels.page(connection, project_id, limit=PAGE, before_id=before_id):
            yield from page
            before_id = page[-1].id


def _unreadable(connection: Connection, project_id: int, now: datetime) -> dict[int, str]:
    found = {}
    before_id = None
    while page := overview.page(connection, project_id, now=now, limit=PAGE, before_id=before_id):
        problems = {one.id: one.timing.problem or one.state.problem or one.problem for one in page}
        bad = [id_ for id_, problem in problems.items() if problem is not None]
        for id_, application in applications.load_many(connection, bad).items():
            found[id_] = f"{application.settings.name}: {problems[id_]}"
        before_id = page[-1].id
    return found

"""Applications, channels and history by the thousand, made by the database itself."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import Connection, bindparam, insert, text

from heartbeat_central.services.default_project import default_project_id
from heartbeat_central.services.prune_history import make_room
from heartbeat_central.storage import migrate
from heartbeat_central.storage.engine import Database
from heartbeat_central.storage.secrets import SecretBox
from heartbeat_central.storage.tables import channels
from heartbeat_central.storage.types import Moment

SECRET_KEY = "the secret key of the benchmark, which is no secret at all"
_SCATTER = 2654435761
"""Knuth's multiplicative hash: neighbouring numbers land far apart in the index."""


def uuid_of(number: int) -> UUID:
    """Return the uuid of the application with this number, counted from 1; load.lua knows it too."""
    return UUID(f"{number * _SCATTER % 2**32:08x}-0000-4000-8000-{number:012x}")


def now() -> datetime:
    return datetime.now(UTC)


def project_of(database: Database) -> int:
    """Return the project that everything belongs to."""
    return default_project_id(database, now=now())


def migrated(database: Database) -> int:
    """Bring an empty database to the newest schema and return its project."""
    migrate.upgrade(database)
    make_room(database, now=now())
    return project_of(database)


def add_applications(
    database: Database,
    project_id: int,
    count: int,
    *,
    first: int = 1,
    interval: int = 86_400,
    last_heartbeat: datetime | None = None,
    spread: timedelta = timedelta(0),
) -> None:
    """Add applications that are up, with the numbers from `first` on, which are their ids as well.

    The first's last heartbeat came at `last_heartbeat` (default: now), the last's `spread` later; each
    is due `interval` seconds after its own, without grace.
    """
    beat = last_heartbeat or now()
    values = {
        "project": project_id,
        "first": first,
        "last": first + count - 1,
        "scatter": _SCATTER,
        "interval": interval,
        "now": now(),
        "beat": beat,
        "due": beat + timedelta(seconds=interval),
        "step": spread // timedelta(microseconds=max(1, count)),
    }
    with database.write() as connection:
        run(connection, _APPLICATIONS, values)
        run(connection, _STATES, values)
    assert scalar(database, "SELECT max(id) FROM applications") == first + count - 1
    analyze(database)


def add_history(
    database: Database,
    rows: int,
    *,
    applications: int = 0,
    application: int = 0,
    over: timedelta = timedelta(days=10),
    step: int = 1_000_000,
) -> None:
    """Add heartbeats, evenly spread over the days before now.

    They belong to the first `applications` in turns, or to one `application` alone (ids).
    """
    since = now() - over
    apart = over // timedelta(microseconds=rows)
    for done in range(0, rows, step):
        values = {
            "first": done,
            "last": min(done + step, rows) - 1,
            "since": since,
            "apart": apart,
            "only": application,
            "applications": applications or 1,
        }
        with database.write() as connection:
            run(connection, _HISTORY, values)
    with database.write() as connection:
        # As it would be by now: else the service begins by rolling all of it up.
        connection.execute(
            text("UPDATE rollup_progress SET rolled_id = (SELECT max(id) FROM heartbeats)")
        )
    analyze(database)


def add_webhooks(
    database: Database, project_id: int, urls: list[str], *, applications: int, first: int = 1
) -> None:
    """Add a webhook channel for each URL; the applications from number `first` on take turns."""
    box = SecretBox([SECRET_KEY])
    values = {"project_id": project_id, "type": "webhook", "is_active": True}
    values |= {"created_at": now(), "updated_at": now()}
    with database.write() as connection:
        newest = connection.execute(text("SELECT coalesce(max(id), 0) FROM channels")).scalar_one()
        connection.execute(
            insert(channels),
            [
                {**values, "name": f"Webhook {number}", "config": box.seal({"url": url})}
                for number, url in enumerate(urls)
            ],
        )
        ids = connection.execute(
            text("SELECT min(id), count(*) FROM channels WHERE id > :newest"), {"newest": newest}
        ).one()
        run(
            connection,
            _SUBSCRIPTIONS,
            {
                "channel": ids[0],
                "channels": ids[1],
                "first": first,
                "last": first + applications - 1,
            },
        )


def analyze(database: Database) -> None:
    """Tell the planner what is there now, as it would have learned in time."""
    with database.write() as connection:
        connection.execute(text("ANALYZE"))


def scalar(database: Database, query: str, **values: object) -> int:
    """Return the one number that a query finds."""
    with database.read() as connection:
        return int(connection.execute(text(query), values).scalar_one())


def run(connection: Connection, statements: dict[str, str], values: dict[str, object]) -> None:
    """Execute the statement for this kind of database with those of the values that it names."""
    statement = text(statements[connection.dialect.name])
    used = {name: value for name, value in values.items() if f":{name}" in statement.text}
    moments = [bindparam(name, type_=Moment()) for name in _MOMENTS if name in used]
    connection.execute(statement.bindparams(*moments), used)


_MOMENTS = ("now", "beat", "due", "since")

_APPLICATIONS = {
    "postgresql": """
        INSERT INTO applications (project_id, uuid, name, slug, description, tags, expected_interval,
            grace_period, expect_first_heartbeat, created_at, updated_at)
        SELECT :project,
            (lpad(to_hex(i * :scatter % 4294967296), 8, '0') || '-0000-4000-8000-'
                || lpad(to_hex(i), 12, '0'))::uuid,
            'Application ' || i, 'application-' || i, '', '["bench"]', :interval, 0, true, :now, :now
        FROM generate_series(:first\\:\\:bigint, :last\\:\\:bigint) i
    """,
    "sqlite": """
        INSERT INTO applications (project_id, uuid, name, slug, description, tags, expected_interval,
            grace_period, expect_first_heartbeat, created_at, updated_at)
        WITH RECURSIVE n(i) AS (SELECT :first UNION ALL SELECT i + 1 FROM n WHERE i < :last)
        SELECT :project, printf('%08x000040008000%012x', i * :scatter % 4294967296, i),
            'Application ' || i, 'application-' || i, '', '["bench"]', :interval, 0, 1, :now, :now
        FROM n
    """,
}
_STATES = {
    "postgresql": """
        INSERT INTO application_states (application_id, status, armed_at, last_heartbeat_at, check_at)
        SELECT id, 'up', :beat, :beat + (id - :first) * :step * interval '1 microsecond',
            :due + (id - :first) * :step * interval '1 microsecond'
        FROM applications WHERE id BETWEEN :first AND :last
    """,
    "sqlite": """
        INSERT INTO application_states (application_id, status, armed_at, last_heartbeat_at, check_at)
        SELECT id, 'up', :beat, :beat + (id - :first) * :step, :due + (id - :first) * :step
        FROM applications WHERE id BETWEEN :first AND :last
    """,
}
_HISTORY = {
    "postgresql": """
        INSERT INTO heartbeats (application_id, kind, received_at, method, remote_address, user_agent,
            body_size)
        SELECT CASE WHEN :only > 0 THEN :only ELSE 1 + i % :applications END, 0,
            :since + i * :apart * interval '1 microsecond', 'POST', '127.0.0.1', 'curl/8.5.0', 0
        FROM generate_series(:first\\:\\:bigint, :last\\:\\:bigint) i
    """,
    "sqlite": """
        INSERT INTO heartbeats (application_id, kind, received_at, method, remote_address, user_agent,
            body_size)
        WITH RECURSIVE n(i) AS (SELECT :first UNION ALL SELECT i + 1 FROM n WHERE i < :last)
        SELECT CASE WHEN :only > 0 THEN :only ELSE 1 + i % :applications END, 0,
            :since + i * :apart, 'POST', '127.0.0.1', 'curl/8.5.0', 0
        FROM n
    """,
}
_SUBSCRIPTIONS = dict.fromkeys(
    ("postgresql", "sqlite"),
    """
        INSERT INTO subscriptions (application_id, channel_id)
        SELECT id, :channel + (id - :first) % :channels FROM applications
        WHERE id BETWEEN :first AND :last
    """,
)

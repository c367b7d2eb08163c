"""A database with plenty in it, made by the database itself, and how a statement finds its rows there."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, event

from bench import data
from heartbeat_central.storage import partitions
from heartbeat_central.storage.engine import Database
from tests.support import sample_alerts

BIG = (
    "applications",
    "application_states",
    "heartbeats",
    "incidents",
    "alerts",
    "deliveries",
    "delivery_attempts",
)
"""Tables with as many rows as there are applications, or with days that hold a part of those."""


def fill(database: Database, rows: int) -> int:
    """Fill a migrated database with `rows` of everything; return the project.

    Every application is up, with a heartbeat in the last ten days, an outage long ago and its alert,
    which was delivered; every thousandth has an open outage and an alert that waits to be sent.
    """
    project_id = data.project_of(database)
    if database.dialect == "postgresql":
        for days in range(11):
            with partitions.layout(database) as connection:
                partitions.make(connection, (data.now() - timedelta(days=days)).date())
    at_once = min(rows, 100_000)
    for first in range(1, rows + 1, at_once):
        data.add_applications(database, project_id, at_once, first=first)
    data.add_webhooks(database, project_id, ["http://127.0.0.1:9/"] * 10, applications=rows)
    data.add_history(database, rows, applications=rows, step=at_once)
    with database.write() as connection:
        values = {
            "project": project_id,
            "now": data.now(),
            "snapshot": json.dumps(sample_alerts.alert().as_json()),
        }
        for statement in _OUTAGES:
            data.run(connection, statement, values)
    data.analyze(database)
    return project_id


@dataclass(frozen=True)
class Plan:
    """How the database finds the rows of one statement."""

    statement: str
    lines: tuple[str, ...]
    days: frozenset[str] = frozenset()
    """Partitions of the history, big tables too."""

    @property
    def walks_through(self) -> list[str]:
        """Return the lines that say that a whole big table is read."""
        return [line for line in self.lines if self._reads_all(line)]

    def _reads_all(self, line: str) -> bool:
        match line.replace("->", " ").split():
            case ["SCAN", table, *rest]:
                # SQLite. An index is walked in order until a LIMIT is reached, and so may be the rowid.
                ends_soon = re.search(rf"ORDER BY {table}\.id( DESC)?\s+LIMIT", self.statement)
                if ends_soon and "WHERE" not in self.statement:
                    return False
                return table in BIG and "USING" not in rest
            case [*_, "Seq", "Scan", "on", table] | [*_, "Seq", "Scan", "on", table, _]:
                return table in BIG or table in self.days
        return False

    def __str__(self) -> str:
        return "\n".join([self.statement, *(f"    {line}" for line in self.lines)])


@contextmanager
def plans(database: Database) -> Iterator[Callable[[], list[Plan]]]:
    """Note what is executed; the function that is yielded returns the plan of each statement."""
    noted: list[tuple[str, Any]] = []

    def note(
        _connection: Connection,
        _cursor: object,
        statement: str,
        parameters: Any,
        _context: object,
        executemany: bool,
    ) -> None:
        if statement.lstrip().startswith(("SELECT", "UPDATE", "DELETE", "WITH", "INSERT")):
            noted.append((statement, parameters[0] if executemany else parameters))

    event.listen(database.engine, "before_cursor_execute", note)

    def explained() -> list[Plan]:
        event.remove(database.engine, "before_cursor_execute", note)
        with database.read() as connection:
            return [explain(connection, *one) for one in noted]

    yield explained


def explain(connection: Connection, statement: str, parameters: Any = ()) -> Plan:
    """Return the plan of a statement, without executing it."""
    if connection.dialect.name == "sqlite":
        rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
        return Plan(statement, tuple(row.detail for row in rows))
    rows = connection.exec_driver_sql(f"EXPLAIN (COSTS OFF) {statement}", parameters)
    return Plan(statement, tuple(line for (line,) in rows), frozenset(_days(connection)))


def _days(connection: Connection) -> Iterator[str]:
    """Yield the days of the history that are full; of one that holds little a scan is as good as any."""
    query = "SELECT relname, reltuples FROM pg_class WHERE relkind = 'r' AND relname LIKE 'heartbeats_on_%%'"
    found = connection.exec_driver_sql(query)
    days: dict[str, float] = {row.relname: row.reltuples for row in found}
    yield from (name for name, rows in days.items() if 2 * rows > max(days.values()))


_OUTAGES: tuple[dict[str, str], ...] = (
    {
        "postgresql": """
            INSERT INTO incidents (project_id, application_id, reason, opened_at, closed_at, rolled_until)
            SELECT :project, id, 'missed', ended_at - interval '1 day', ended_at, ended_at
            FROM (SELECT id, :now - interval '8 days' + id * interval '1 millisecond' AS ended_at
                  FROM applications ORDER BY id) AS ended
        """,
        "sqlite": """
            INSERT INTO incidents (project_id, application_id, reason, opened_at, closed_at, rolled_until)
            SELECT :project, id, 'missed', ended_at - 86400000000, ended_at, ended_at
            FROM (SELECT id, :now - 691200000000 + id * 1000 AS ended_at FROM applications ORDER BY id)
        """,
    },
    {
        "postgresql": """
            INSERT INTO incidents (project_id, application_id, reason, opened_at)
            SELECT :project, id, 'missed', :now - interval '1 hour' FROM applications WHERE id % 1000 = 0
        """,
        "sqlite": """
            INSERT INTO incidents (project_id, application_id, reason, opened_at)
            SELECT :project, id, 'missed', :now - 3600000000 FROM applications WHERE id % 1000 = 0
        """,
    },
    dict.fromkeys(
        ("postgresql", "sqlite"),
        "UPDATE application_states SET status = 'down', check_at = NULL WHERE application_id % 1000 = 0",
    ),
    # Of those that were sent nobody reads the snapshot again.
    {
        "postgresql": """
            INSERT INTO alerts (project_id, kind, application_id, incident_id, snapshot, created_at)
            SELECT project_id, 'down', application_id, id,
                CASE WHEN closed_at IS NULL THEN CAST(:snapshot AS jsonb) ELSE '{}' END, opened_at
            FROM incidents
        """,
        "sqlite": """
            INSERT INTO alerts (project_id, kind, application_id, incident_id, snapshot, created_at)
            SELECT project_id, 'down', application_id, id,
                CASE WHEN closed_at IS NULL THEN :snapshot ELSE '{}' END, opened_at
            FROM incidents
        """,
    },
    {
        "postgresql": """
            INSERT INTO deliveries (uuid, alert_id, channel_id, application_id, status, attempt, due_at,
                finished_at, created_at)
            SELECT lpad(to_hex(alerts.id), 32, '0')::uuid, alerts.id, channel_id, alerts.application_id,
                CASE WHEN closed_at IS NULL THEN 'pending' ELSE 'delivered' END, 1,
                CASE WHEN closed_at IS NULL THEN opened_at END, closed_at, opened_at
            FROM alerts JOIN incidents ON incidents.id = incident_id
            JOIN subscriptions ON subscriptions.application_id = alerts.application_id
        """,
        "sqlite": """
            INSERT INTO deliveries (uuid, alert_id, channel_id, application_id, status, attempt, due_at,
                finished_at, created_at)
            SELECT printf('%032x', alerts.id), alerts.id, channel_id, alerts.application_id,
                CASE WHEN closed_at IS NULL THEN 'pending' ELSE 'delivered' END, 1,
                CASE WHEN closed_at IS NULL THEN opened_at END, closed_at, opened_at
            FROM alerts JOIN incidents ON incidents.id = incident_id
            JOIN subscriptions ON subscriptions.application_id = alerts.application_id
        """,
    },
    dict.fromkeys(
        ("postgresql", "sqlite"),
        """
            INSERT INTO delivery_attempts (delivery_id, attempt, started_at, finished_at, outcome, detail)
            SELECT id, 1, created_at, created_at, 'ok', '' FROM deliveries WHERE status = 'delivered'
        """,
    ),
)

"""Whatever is done again and again finds its rows by an index, however many there are."""

import contextlib
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, text

from bench import data
from heartbeat_central.domain.bulkhead import Bulkheads
from heartbeat_central.domain.state import Shown
from heartbeat_central.services.deliver_alerts import next_delivery
from heartbeat_central.services.detect_missed import next_check
from heartbeat_central.services.fingerprint import fingerprint
from heartbeat_central.services.list_applications import list_applications
from heartbeat_central.services.manage_applications import get_application
from heartbeat_central.services.read_history import (
    deliveries_page,
    heartbeats_page,
    incidents_page,
)
from heartbeat_central.storage import (
    heartbeat_counts,
    leases,
    retention,
    roll_up_progress,
    states,
    touches_postgresql,
    touches_sqlite,
)
from heartbeat_central.storage.engine import Database, open_database
from heartbeat_central.storage.outbox import DeliveryStatus
from tests.support import plenty, postgres
from tests.support.plenty import Plan
from tests.support.world import BASE_URL

SOME = 20_000
"""Rows of each table in the everyday tests. PostgreSQL's planner decides as with a million already."""
MANY = 1_000_000
MIDDLE = 10_001
"""An application, and a row of each table."""


@pytest.fixture(scope="module")
def full(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A database with plenty of everything, and its project. What tests change is rolled back."""
    dialect, rows = request.param
    with contextlib.ExitStack() as stack:
        if dialect == "sqlite":
            url = f"sqlite:///{tmp_path_factory.mktemp('plenty') / 'heartbeat.sqlite3'}"
        else:
            request.getfixturevalue("postgres_server")
            url = stack.enter_context(postgres.fresh_database())
        # To fill it takes longer than the service gives a statement.
        database = open_database(url, patience=600)
        stack.callback(database.close)
        data.migrated(database)
        yield database, plenty.fill(database, rows)


def on(*kinds: tuple[str, int]) -> pytest.MarkDecorator:
    """Run a test on these databases, with so many rows in each table."""
    return pytest.mark.parametrize(
        "full",
        [
            pytest.param(
                kind,
                id=f"{kind[0]}-{kind[1]}",
                marks=[pytest.mark.soak] * (kind[1] == MANY)
                + [pytest.mark.postgres] * (kind[0] == "postgresql"),
            )
            for kind in kinds
        ],
        indirect=True,
        scope="module",
    )


on_both = on(("sqlite", SOME), ("sqlite", MANY), ("postgresql", SOME), ("postgresql", MANY))
on_sqlite = on(("sqlite", SOME), ("sqlite", MANY))
on_postgresql = on(("postgresql", SOME), ("postgresql", MANY))


Work = Callable[[Database, int], object]


def _writing(work: Callable[[Any], object]) -> Work:
    def done(database: Database, _project: int) -> object:
        with contextlib.suppress(_Done), database.write() as connection:
            work(connection)
            raise _Done
        return None

    return done


def _reading(work: Callable[[Any], object]) -> Work:
    def done(database: Database, _project: int) -> object:
        with database.read() as connection:
            return work(connection)

    return done


class _Done(Exception):
    """Rolls back what was done for its plan."""


def _listed(**asked: Any) -> Work:
    return lambda database, project: list_applications(
        database, project, now=data.now(), base_url=BASE_URL, limit=50, **asked
    )


UUIDS = [data.uuid_of(number) for number in range(MIDDLE, MIDDLE + 50)]
EVERYWHERE: dict[str, Work] = {
    "sweep": _writing(
        lambda connection: states.lock_due(
            connection, now=data.now() + timedelta(days=1, minutes=1), most=100
        )
    ),
    "when to sweep": lambda database, _: next_check(database),
    "signals that are judged": _writing(
        lambda connection: states.lock_for_signals(connection, UUIDS)
    ),
    "states that are saved": _writing(
        lambda connection: states.save_many(connection, states.load_many(connection, [MIDDLE]))
    ),
    "an application by its uuid": lambda database, project: get_application(
        database, project, UUIDS[0], now=data.now(), base_url=BASE_URL
    ),
    "its history": lambda database, project: heartbeats_page(database, project, MIDDLE, limit=50),
    "its history, further back": lambda database, project: heartbeats_page(
        database, project, MIDDLE, limit=50, before=(data.now() - timedelta(days=2), MIDDLE)
    ),
    "its incidents": lambda database, project: incidents_page(
        database, project, ref=MIDDLE, limit=50
    ),
    "all incidents": lambda database, project: incidents_page(database, project, limit=50),
    "open incidents": lambda database, project: incidents_page(
        database, project, open_only=True, limit=50
    ),
    "the list": _listed(),
    "the list, further back": _listed(before_id=MIDDLE),
    "what is down": _listed(status=Shown.DOWN),
    "whether anything changed": fingerprint,
    "deliveries of a channel": lambda database, project: deliveries_page(
        database, project, 3, limit=50
    ),
    "when to send": lambda database, _: next_delivery(database, Bulkheads(), now=data.now()),
    "old deliveries": _writing(
        lambda connection: retention.delete_deliveries(
            connection, data.now() - timedelta(days=30), most=100
        )
    ),
    "old alerts": _writing(
        lambda connection: retention.delete_alerts(
            connection, data.now() - timedelta(days=30), most=100
        )
    ),
}


def found_by(full: tuple[Database, int], work: Work) -> list[Plan]:
    """Do `work` and return how its statements found their rows: none by reading a whole table."""
    database, project = full
    with plenty.plans(database) as explained:
        work(database, project)
    found = explained()
    assert found
    assert not [one for one in found if one.walks_through], "\n".join(map(str, found))
    return found


@on_both
@pytest.mark.parametrize("name", EVERYWHERE)
def test_finds_by_an_index(full: tuple[Database, int], name: str) -> None:
    found_by(full, EVERYWHERE[name])


@on_both
def test_claims_find_what_is_due_among_all_that_was_ever_sent(full: tuple[Database, int]) -> None:
    def claim(connection: Connection) -> None:
        now = data.now()
        waiting = leases.due(connection, now=now, most=100, per_channel=10)
        assert waiting
        claimed = leases.lease(
            connection, [one.id for one in waiting], now=now, until=now + timedelta(seconds=10)
        )
        assert len(claimed) == len(waiting)
        marks = [leases.Mark(one, DeliveryStatus.DELIVERED, at=now) for one in claimed]
        assert len(leases.mark_many(connection, marks)) == len(marks)

    found_by(full, _writing(claim))


@on_both
def test_the_sweep_uses_the_index_made_for_it(full: tuple[Database, int]) -> None:
    def judged(connection: Connection) -> None:
        assert states.lock_due(connection, now=data.now() + timedelta(days=2), most=100)

    index = "ix_application_states_check_at"
    assert any(index in line for one in found_by(full, _writing(judged)) for line in one.lines)


@on_both
def test_without_its_index_this_test_of_the_sweep_would_fail(full: tuple[Database, int]) -> None:
    database, _ = full
    statement = "SELECT application_id FROM application_states ORDER BY check_at LIMIT 100"
    with database.engine.connect() as connection, connection.begin() as transaction:
        assert not plenty.explain(connection, statement).walks_through
        connection.execute(text("DROP INDEX ix_application_states_check_at"))
        # Spelled differently: SQLite would show the plan that it has made already.
        assert plenty.explain(connection, f"{statement} ").walks_through
        transaction.rollback()


@on_sqlite
def test_touches_on_sqlite(full: tuple[Database, int]) -> None:
    database, _ = full
    # What the trigger does for each row; a plan shows no trigger from within.
    _, update, *_ = re.split(r"BEGIN|;", touches_sqlite._TRIGGER)
    assert update.lstrip().startswith("UPDATE application_states")
    values = dict.fromkeys(("application_id", "status", "heard_at"))
    sought = ", ".join(f"'{one.hex}'" for one in UUIDS)
    with database.read() as connection:
        for statement, given in (
            (update.replace("NEW.", ":"), values),
            (touches_sqlite._FIND.format(uuids=sought), ()),
        ):
            plan = plenty.explain(connection, statement, given)
            assert plan.lines
            assert not plan.walks_through, plan


@on_postgresql
def test_touches_on_postgresql(full: tuple[Database, int]) -> None:
    database, _ = full
    store = touches_postgresql.PostgresqlTouchStore(database)
    assert len(store.find(UUIDS)) == len(UUIDS)
    connection = store._connected()  # where the statement is prepared, with the settings it needs
    lines = connection.execute(
        "EXPLAIN (COSTS OFF) EXECUTE touch(ARRAY[1, 2], ARRAY['up', 'up'], ARRAY[now(), now()], ARRAY[1],"
        " ARRAY[0], ARRAY[now()], NULL, NULL, ARRAY['GET'], NULL, NULL, ARRAY[0], NULL)"
    ).fetchall()
    store.close()
    plan = Plan("touch", tuple(line for (line,) in lines))
    assert not plan.walks_through, plan
    assert any("pk_application_states" in line for line in plan.lines), plan
    assert not any("Hash Join" in line or "Merge Join" in line for line in plan.lines), plan
    with database.read() as reading:
        quoted = ", ".join(f"'{one}'" for one in UUIDS)
        looked_up = touches_postgresql._FIND.replace("ANY (%s)", f"ANY (ARRAY[{quoted}]::uuid[])")
        plan = plenty.explain(reading, looked_up)
    assert not plan.walks_through, plan


@on_sqlite
def test_pruning_on_sqlite(full: tuple[Database, int]) -> None:
    moment, rolled_id = data.now() - timedelta(days=9), MIDDLE
    for work in (
        lambda connection: retention.delete_oldest(
            connection, moment, rolled_id=rolled_id, most=100
        ),
        lambda connection: retention.applications_with_older(
            connection, moment, rolled_id=rolled_id
        ),
        lambda connection: retention.delete_older_of(
            connection, MIDDLE, moment, rolled_id=rolled_id, most=100
        ),
    ):
        found_by(full, _writing(work))


ROLL_UP = _reading(
    lambda connection: heartbeat_counts.count(
        connection,
        after=MIDDLE,
        to=MIDDLE + 500,
        after_key=roll_up_progress.NO_KEY,
        most=None,
    )
)


# PostgreSQL would read a small day as a whole, and rightly so.
@on(("sqlite", SOME), ("sqlite", MANY), ("postgresql", MANY))
def test_rolling_up_reads_the_heartbeats_between_two_ids(full: tuple[Database, int]) -> None:
    found_by(full, ROLL_UP)

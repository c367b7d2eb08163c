"""Self-beats in the database: one row a process, and a window wherever proof is missing."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import func, select

from heartbeat_central.domain.blind_window import BlindWindow, Cause
from heartbeat_central.domain.reception import Proven, Undecided
from heartbeat_central.services.prove_reception import reception_proven_until, stop_node
from heartbeat_central.storage import blind_windows, tables
from heartbeat_central.storage.engine import Database
from tests.support.process import Process
from tests.support.world import at


def windows(database: Database) -> list[tuple[float, float, str]]:
    """Start and end in seconds after START, and cause."""
    with database.read() as connection:
        rows = connection.execute(select(tables.blind_windows).order_by(tables.blind_windows.c.id))
        return [
            (
                (row.started_at - at(0)).total_seconds(),
                (row.ended_at - at(0)).total_seconds(),
                row.cause,
            )
            for row in rows
        ]


def rows(database: Database, table: str) -> int:
    with database.read() as connection:
        query = select(func.count()).select_from(tables.metadata.tables[table])
        return connection.execute(query).scalar_one()


def test_a_self_beat_rewrites_one_row(database: Database) -> None:
    process = Process(database)
    for second in range(5):
        assert process.beat(second) == Proven()
    assert rows(database, "nodes") == 1
    assert reception_proven_until(database) == at(4)
    assert windows(database) == []


def test_nothing_is_proven_before_the_first(database: Database) -> None:
    assert reception_proven_until(database) is None


def test_a_start_after_downtime_leaves_its_window_with_the_proof(database: Database) -> None:
    Process(database).beat(0)
    Process(database).beat(60)
    assert windows(database) == [(0, 60, "stopped")]
    assert reception_proven_until(database) == at(60)


def test_a_process_that_is_stopped_and_goes_on_was_blind(database: Database) -> None:
    process = Process(database)
    process.beat(0)
    process.beat(10, stood_still=9)
    process.beat(11)
    assert windows(database) == [(0, 10, "stalled")]


def test_a_machine_that_slept_was_blind(database: Database) -> None:
    process = Process(database)
    process.beat(0)
    process.beat(600, slept=599)
    assert windows(database) == [(0, 600, "suspended")]


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_nodes_that_start_together_after_downtime_leave_one_window(database: Database) -> None:
    Process(database).beat(0)
    nodes = [Process(database) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda node: node.beat(60), nodes))
    assert windows(database) == [(0, 60, "stopped")]


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_no_span_is_blind_in_which_another_node_could_receive(database: Database) -> None:
    first, second = Process(database), Process(database)
    first.beat(0)
    assert second.beat(0.5) == Undecided(since=at(0.5), newest=at(0))
    assert windows(database) == []
    first.beat(1)
    assert second.beat(1.5) == Proven()
    for moment in range(2, 60):
        second.beat(moment)
    first.beat(60.5, stood_still=59)
    second.beat(61)
    assert windows(database) == []


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_what_may_still_live_is_waited_for_before_a_window_is_told(database: Database) -> None:
    Process(database).beat(0)
    started = Process(database)
    for moment in (1, 2, 3):
        assert isinstance(started.beat(moment), Undecided)
        assert reception_proven_until(database) == at(0), (
            "undecided, it proves nothing to others either"
        )
    assert started.beat(3.5) == Proven(
        BlindWindow(started_at=at(0), ended_at=at(1), cause=Cause.STOPPED)
    )


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_after_an_orderly_stop_nobody_is_waited_for(database: Database) -> None:
    stopped = Process(database)
    stopped.beat(0)
    stop_node(database, stopped.node, now=at(0.2))
    Process(database).beat(1)
    assert windows(database) == [(0, 1, "stopped")]


def test_a_clock_that_is_set_back_takes_its_own_traces_along(database: Database) -> None:
    process = Process(database)
    process.beat(0)
    process.beat(3600, ran=1)
    assert windows(database) == [(0, 3600, "set_forward")]
    process.beat(2, ran=1)
    assert windows(database) == [(0, 2, "set_forward"), (2, 3601, "set_back")]
    assert reception_proven_until(database) == at(2)
    process.beat(3)
    assert len(windows(database)) == 2


def test_processes_of_long_ago_are_forgotten_and_the_last_proof_is_not(database: Database) -> None:
    day = 24 * 3600
    Process(database).beat(0)
    Process(database).beat(day)
    Process(database).beat(20 * day)
    assert rows(database, "nodes") == 1
    assert windows(database)[-1] == (day, 20 * day, "stopped")


def test_windows_of_long_ago_are_forgotten(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blind_windows, "MOST", 3)
    for start in range(6):
        Process(database).beat(start * 10)
    assert [start for start, *_ in windows(database)] == [20, 30, 40]
    Process(database).beat(401 * 24 * 3600)
    assert len(windows(database)) == 1

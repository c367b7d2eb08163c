"""Nodes with their self-beats, and the blind windows that follow from them."""

from contextlib import ExitStack
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Connection, insert, select

from heartbeat_central.domain.blind_window import BlindWindow, Cause, Span
from heartbeat_central.domain.reception import Node
from heartbeat_central.storage import blind_windows, nodes, tables
from heartbeat_central.storage.engine import Database
from tests.support import rows
from tests.support.racing import meanwhile
from tests.support.rows import at

A_MICROSECOND = timedelta(microseconds=1)
FIRST, SECOND, THIRD = (UUID(int=number) for number in (1, 2**127, 2**128 - 1))


def known(connection: Connection) -> dict[UUID, Node]:
    return {node.id: node for node in nodes.everyone(connection)}


def test_a_process_has_one_row_that_each_self_beat_rewrites(connection: Connection) -> None:
    assert nodes.last_seen(connection) is None
    for seconds in (1, 2):
        nodes.save(connection, FIRST, seen_at=at(seconds) + A_MICROSECOND)
    nodes.save(connection, SECOND, seen_at=at(1))
    seen_at = at(2) + A_MICROSECOND
    assert known(connection) == {
        FIRST: Node(id=FIRST, seen_at=seen_at, stopped_at=None),
        SECOND: Node(id=SECOND, seen_at=at(1), stopped_at=None),
    }
    assert nodes.last_seen(connection) == seen_at
    started = select(tables.nodes.c.started_at).where(tables.nodes.c.id == FIRST)
    assert connection.execute(started).scalar_one() == at(1) + A_MICROSECOND


def test_a_process_that_ended_in_good_order_says_so_until_it_beats_again(
    connection: Connection,
) -> None:
    for node in (FIRST, SECOND):
        nodes.save(connection, node, seen_at=at(1))
    nodes.stop(connection, FIRST, at=at(3))
    nodes.stop(connection, THIRD, at=at(3))
    assert known(connection) == {
        FIRST: Node(id=FIRST, seen_at=at(1), stopped_at=at(3)),
        SECOND: Node(id=SECOND, seen_at=at(1), stopped_at=None),
    }
    nodes.save(connection, FIRST, seen_at=at(4))
    assert known(connection)[FIRST].stopped_at is None


def test_a_restored_backup_has_nobody_who_receives(connection: Connection) -> None:
    nodes.end_all(connection, as_of=at(50))
    (noted,) = known(connection).values()
    assert (noted.seen_at, noted.stopped_at) == (at(50), at(50))
    nodes.save(connection, FIRST, seen_at=at(60))
    nodes.save(connection, SECOND, seen_at=at(70))
    nodes.stop(connection, SECOND, at=at(71))
    nodes.end_all(connection, as_of=at(99))
    ended = {id_: node.stopped_at for id_, node in known(connection).items()}
    assert ended == {noted.id: at(50), FIRST: at(60), SECOND: at(71)}


def test_proofs_of_times_to_come_are_taken_back(connection: Connection) -> None:
    for node, seconds in ((FIRST, 5), (SECOND, 10), (THIRD, 99)):
        nodes.save(connection, node, seen_at=at(seconds))
    nodes.set_back(connection, at(10))
    seen = {id_: node.seen_at for id_, node in known(connection).items()}
    assert seen == {FIRST: at(5), SECOND: at(10), THIRD: at(10)}


def test_processes_of_long_ago_are_forgotten_but_never_the_newest(connection: Connection) -> None:
    for node, seconds in ((FIRST, 5), (SECOND, 10), (THIRD, 20)):
        nodes.save(connection, node, seen_at=at(seconds))
    nodes.forget_before(connection, at(10))
    assert set(known(connection)) == {SECOND, THIRD}
    nodes.forget_before(connection, at(999))
    assert set(known(connection)) == {THIRD}


def test_processes_decide_on_windows_one_after_the_other(database: Database) -> None:
    def decide(connection: Connection) -> int:
        nodes.lock(connection)
        found = len(blind_windows.to_settle(connection))
        add(connection, 0, 1, Cause.CLOCK_SET_BACK)
        return found

    with ExitStack() as stack:
        with database.write() as first:
            assert decide(first) == 0
            second = stack.enter_context(meanwhile(database, decide))
        assert second.result(10) == 1


# --- windows


def add(
    connection: Connection, start: float, end: float, cause: Cause = Cause.STOPPED
) -> BlindWindow:
    """Store a window and return it as it is stored."""
    blind_windows.add(connection, BlindWindow(started_at=at(start), ended_at=at(end), cause=cause))
    newest = select(tables.blind_windows).order_by(tables.blind_windows.c.id.desc()).limit(1)
    row = connection.execute(newest).one()
    return BlindWindow(
        started_at=row.started_at, ended_at=row.ended_at, cause=Cause(row.cause), id=row.id
    )


def overlapping(connection: Connection, since: float) -> list[BlindWindow]:
    windows = blind_windows.since(connection, at(since))
    found = windows.overlapping([Span(at(-999), at(999))])
    return sorted(found, key=lambda one: one.id or 0)


@pytest.mark.parametrize("cause", Cause)
def test_a_window_comes_back_as_it_was(connection: Connection, cause: Cause) -> None:
    window = BlindWindow(
        started_at=at(1) + A_MICROSECOND, ended_at=at(1) + 2 * A_MICROSECOND, cause=cause
    )
    blind_windows.add(connection, window)
    (found,) = overlapping(connection, 0)
    assert found.id is not None
    assert (found.started_at, found.ended_at, found.cause) == (
        *(window.started_at, window.ended_at),
        cause,
    )


def test_windows_count_from_their_end(connection: Connection) -> None:
    add(connection, 0, 9)
    later = [add(connection, 5, 10), add(connection, 20, 30)]
    assert overlapping(connection, 10) == later
    assert overlapping(connection, 30.000001) == []


def test_what_lies_ahead_is_cut_off_when_the_clock_is_set_back(connection: Connection) -> None:
    past = add(connection, 0, 10)
    add(connection, 5, 20)
    add(connection, 15, 25)
    twice = add(connection, 8, 30, Cause.CLOCK_SET_BACK)
    blind_windows.set_back(connection, at(10))
    found = overlapping(connection, 0)
    assert [found[0], found[3]] == [past, twice]
    assert [(one.started_at, one.ended_at) for one in found[1:3]] == [
        (at(5), at(10)),
        (at(10), at(10)),
    ]


def test_windows_of_long_ago_are_forgotten(connection: Connection) -> None:
    add(connection, 0, 9.999999)
    kept = [add(connection, 0, 10), add(connection, 5, 20)]
    blind_windows.forget_before(connection, at(10))
    assert overlapping(connection, -1) == kept


def test_of_too_many_windows_the_newest_stay(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blind_windows, "MOST", 3)
    made = [add(connection, second, second) for second in range(3)]
    blind_windows.forget_before(connection, at(-9))
    assert overlapping(connection, -9) == made
    made += [add(connection, 0, 0) for _ in range(2)]
    blind_windows.forget_before(connection, at(-9))
    assert overlapping(connection, -9) == made[2:]


def test_a_digest_is_asked_for_once_and_told_once(connection: Connection) -> None:
    first, second, never = (add(connection, 0, second) for second in (1, 2, 3))
    for window, seconds in ((second, 20), (first, 10), (first, 5)):
        assert window.id is not None
        blind_windows.ask_for_digest(connection, window.id, due_at=at(seconds))
    assert blind_windows.to_digest(connection, now=at(9.999999)) == []
    assert blind_windows.to_digest(connection, now=at(10)) == [first]
    assert blind_windows.to_digest(connection, now=at(20)) == [first, second]
    assert first.id is not None
    assert second.id is not None
    assert never.id is not None
    assert not blind_windows.digested(connection, second.id, now=at(19)), "it isn't due yet"
    assert not blind_windows.digested(connection, never.id, now=at(99)), "nobody asked"
    assert blind_windows.digested(connection, first.id, now=at(10))
    assert not blind_windows.digested(connection, first.id, now=at(10))
    blind_windows.ask_for_digest(connection, first.id, due_at=at(11))
    assert blind_windows.to_digest(connection, now=at(99)) == [second]


def test_a_clock_that_was_set_back_is_settled_once(connection: Connection) -> None:
    add(connection, 0, 1)
    first, second = (add(connection, 0, end, Cause.CLOCK_SET_BACK) for end in (2, 3))
    assert blind_windows.to_settle(connection) == [first, second]
    assert first.id is not None
    assert blind_windows.settled(connection, first.id, now=at(9))
    assert not blind_windows.settled(connection, first.id, now=at(9))
    assert not blind_windows.settled(connection, rows.LARGEST, now=at(9))
    assert blind_windows.to_settle(connection) == [second]


@pytest.mark.parametrize("what", ["digested", "settled"])
def test_of_two_processes_one_is_told_that_the_other_was_faster(
    database: Database, what: str
) -> None:
    with database.write() as connection:
        window = add(connection, 0, 1, Cause.CLOCK_SET_BACK)
        assert window.id is not None
        blind_windows.ask_for_digest(connection, window.id, due_at=at(2))

    def claim(connection: Connection) -> bool:
        done: Any = getattr(blind_windows, what)
        return bool(done(connection, window.id, now=at(5)))

    with ExitStack() as stack:
        with database.write() as first:
            assert claim(first)
            second = stack.enter_context(meanwhile(database, claim))
        assert second.result(10) is False


def test_a_process_is_noted_once(connection: Connection) -> None:
    node = uuid4()
    nodes.save(connection, node, seen_at=at(1))
    with rows.refused(connection):
        connection.execute(insert(tables.nodes).values(id=node, started_at=at(1), seen_at=at(1)))

"""Rollups: stored, added to, and how far they go."""

from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from sqlalchemy import Connection

from heartbeat_central.domain.incident import Reason
from heartbeat_central.domain.rollup import HOUR, NOTHING, Rollup, Span
from heartbeat_central.domain.signal import Signal, SignalKind
from heartbeat_central.storage import (
    applications,
    downtime,
    heartbeat_counts,
    heartbeats,
    incidents,
    roll_up_progress,
    rollups,
    tables,
)
from heartbeat_central.storage.downtime import Outage
from heartbeat_central.storage.engine import Database
from heartbeat_central.storage.heartbeats import NewHeartbeat
from heartbeat_central.storage.roll_up_progress import NO_KEY, Progress
from tests.support import rows
from tests.support.racing import meanwhile
from tests.support.rows import NOON, at, on_postgresql

A_MICROSECOND = timedelta(microseconds=1)
A_CENTURY = timedelta(days=36_525)
FULL = Rollup(
    successes=2**31 - 1,
    failures=2,
    first_success_at=NOON + A_MICROSECOND,
    last_success_at=NOON + HOUR - A_MICROSECOND,
    longest_gap=timedelta(minutes=3) + A_MICROSECOND,
    runs=4,
    run_time=A_CENTURY + A_MICROSECOND,
    longest_run=timedelta(hours=72) + A_MICROSECOND,
    down=timedelta(minutes=6) + A_MICROSECOND,
)


@pytest.fixture
def application_id(connection: Connection, project_id: int) -> int:
    return rows.application(connection, project_id)


@pytest.mark.parametrize("span", Span)
@pytest.mark.parametrize("rollup", [FULL, NOTHING])
def test_every_field_comes_back_as_it_was(
    connection: Connection, application_id: int, span: Span, rollup: Rollup
) -> None:
    key = application_id, NOON
    rollups.save(connection, span, {key: rollup})
    other = {Span.HOUR: Span.DAY, Span.DAY: Span.HOUR}[span]
    assert rollups.load(connection, span, [key, (application_id, NOON + HOUR)]) == {key: rollup}
    assert rollups.load(connection, other, [key]) == {}
    assert rollups.load(connection, span, []) == {}


def test_saving_again_replaces_all_but_the_downtime(
    connection: Connection, application_id: int
) -> None:
    key = application_id, NOON
    rollups.save(connection, Span.HOUR, {})
    for rollup in (FULL, replace(NOTHING, failures=9, down=A_CENTURY)):
        rollups.save(connection, Span.HOUR, {key: rollup})
    found = rollups.load(connection, Span.HOUR, [key])[key]
    assert found == Rollup(failures=9, down=FULL.down)


def test_downtime_is_added_and_taken_back(connection: Connection, application_id: int) -> None:
    there, missing = (application_id, NOON), (application_id, NOON + HOUR)
    rollups.save(connection, Span.HOUR, {there: FULL})
    rollups.add_downtime(connection, Span.HOUR, {})
    minute = timedelta(minutes=1)
    rollups.add_downtime(connection, Span.HOUR, {missing: 2 * minute, there: minute})
    rollups.add_downtime(connection, Span.HOUR, {missing: -minute, there: -FULL.down})
    assert rollups.load(connection, Span.HOUR, [there, missing]) == {
        there: replace(FULL, down=minute),
        missing: Rollup(down=minute),
    }


def test_many_are_stored_and_found_at_once(connection: Connection, project_id: int) -> None:
    first, second = (rows.application(connection, project_id) for _ in range(2))
    many = {
        (one, NOON + hour * HOUR): Rollup(failures=hour)
        for hour in range(1_200)
        for one in (second, first)
    }
    rollups.save(connection, Span.HOUR, many)
    assert rollups.load(connection, Span.HOUR, list(many)) == many


def test_those_between_two_moments_come_oldest_first(
    connection: Connection, project_id: int
) -> None:
    mine, other = (rows.application(connection, project_id) for _ in range(2))
    for hour in (3, 0, 2, 1):
        for one in (mine, other):
            rollups.save(connection, Span.HOUR, {(one, NOON + hour * HOUR): Rollup(failures=hour)})
    found = rollups.between(connection, Span.HOUR, mine, since=NOON + HOUR, until=NOON + 3 * HOUR)
    assert list(found.items()) == [
        (NOON + HOUR, Rollup(failures=1)),
        (NOON + 2 * HOUR, Rollup(failures=2)),
    ]


def test_a_rollup_needs_its_application_and_goes_with_it(
    connection: Connection, project_id: int
) -> None:
    gone, kept = (rows.application(connection, project_id) for _ in range(2))
    with rows.refused(connection):
        rollups.save(connection, Span.HOUR, {(rows.LARGEST, NOON): FULL})
    for span in Span:
        rollups.save(connection, span, {(one, NOON): FULL for one in (gone, kept)})
    applications.remove(connection, gone)
    for span in Span:
        assert set(rollups.load(connection, span, [(gone, NOON), (kept, NOON)])) == {(kept, NOON)}


def test_those_that_exist_are_kept_until_they_are_counted(database: Database) -> None:
    with database.write() as connection:
        made = rows.application(connection, rows.project(connection))
    with ExitStack() as stack:
        with database.write() as counting:
            assert rollups.keep_existing(counting, [rows.LARGEST, made, made]) == {made}
            removal = stack.enter_context(
                meanwhile(database, lambda connection: applications.remove(connection, made))
            )
            rollups.save(counting, Span.HOUR, {(made, NOON): FULL})
        removal.result(10)
    with database.write() as connection:
        assert rollups.keep_existing(connection, [made]) == set()
        assert rows.count(connection, tables.hourly_rollups) == 0


# --- what heartbeats come to


def beat(
    connection: Connection,
    application_id: int,
    seconds: float,
    kind: SignalKind = SignalKind.SUCCESS,
    duration: timedelta | None = None,
) -> int:
    """Store a heartbeat and return its id."""
    signal = Signal(uuid=uuid4(), kind=kind, received_at=at(seconds))
    heartbeats.insert_many(connection, [NewHeartbeat(application_id, signal, duration)])
    return heartbeats.newest_id(connection)


def counted(
    connection: Connection,
    *,
    after: int = 0,
    to: int = rows.LARGEST,
    after_key: rollups.Key = NO_KEY,
    most: int | None = None,
) -> dict[rollups.Key, Rollup]:
    return heartbeat_counts.count(connection, after=after, to=to, after_key=after_key, most=most)


def test_signals_of_every_kind_are_counted_to_the_microsecond(connection: Connection) -> None:
    minute = timedelta(minutes=1)
    # Stored in another order than they came.
    beat(connection, 1, 240.000001)
    beat(connection, 1, 0, duration=minute + A_MICROSECOND)
    beat(connection, 1, 60.5)
    beat(connection, 1, 70, SignalKind.FAIL, duration=2 * minute)
    beat(connection, 1, 80, SignalKind.FAIL)
    beat(connection, 1, 100, SignalKind.START)
    beat(connection, 1, 110, SignalKind.LOG)
    assert counted(connection) == {
        (1, NOON): Rollup(
            successes=3,
            failures=2,
            first_success_at=NOON,
            last_success_at=at(240.000001),
            longest_gap=timedelta(seconds=179, microseconds=500_001),
            runs=2,
            run_time=3 * minute + A_MICROSECOND,
            longest_run=2 * minute,
        )
    }


def test_hours_are_those_of_utc_and_come_in_order(connection: Connection) -> None:
    for application_id, seconds in ((2, 0), (1, 3_600), (1, 3_599.999999), (1, -1), (3, 7_200)):
        beat(connection, application_id, seconds)
    assert list(counted(connection)) == [
        (1, NOON - HOUR),
        (1, NOON),
        (1, NOON + HOUR),
        (2, NOON),
        (3, NOON + 2 * HOUR),
    ]


def test_a_count_covers_the_ids_given_and_what_lies_behind_the_key(
    connection: Connection,
) -> None:
    ids = [beat(connection, one, seconds) for one in (1, 2) for seconds in (0, 3_600, 7_200)]
    assert list(counted(connection, after=ids[0], to=ids[3])) == [
        (1, NOON + HOUR),
        (1, NOON + 2 * HOUR),
        (2, NOON),
    ]
    assert list(counted(connection, after_key=(1, NOON + HOUR))) == [
        (1, NOON + 2 * HOUR),
        (2, NOON),
        (2, NOON + HOUR),
        (2, NOON + 2 * HOUR),
    ]
    assert len(counted(connection, most=4)) == 4
    assert counted(connection, after=ids[-1]) == {}


def test_one_hour_is_counted_again_from_all_its_heartbeats(connection: Connection) -> None:
    ids = [beat(connection, 1, seconds) for seconds in (-1, 0, 10, 3_599, 3_600)]
    beat(connection, 2, 5)
    found = heartbeat_counts.recount(connection, (1, NOON), to=ids[-1])
    assert (found.successes, found.longest_gap) == (3, timedelta(seconds=3_589))
    assert heartbeat_counts.recount(connection, (1, NOON), to=ids[2]).successes == 2
    assert heartbeat_counts.recount(connection, (3, NOON), to=ids[-1]) == NOTHING


# --- how far they go

BEGINNING = Progress(rolled_id=0, rolling_id=0, rolled_key=NO_KEY)


def test_progress_advances_from_where_it_is_and_nowhere_else(connection: Connection) -> None:
    assert roll_up_progress.progress(connection) == BEGINNING
    far = Progress(
        rolled_id=rows.LARGEST - 1,
        rolling_id=rows.LARGEST,
        rolled_key=(rows.LARGEST, datetime(9999, 12, 31, 23, tzinfo=UTC)),
    )
    assert roll_up_progress.advance(connection, BEGINNING, far)
    assert roll_up_progress.progress(connection) == far
    assert roll_up_progress.rolled_id(connection) == rows.LARGEST - 1
    for stale in (
        BEGINNING,
        replace(far, rolled_id=1),
        replace(far, rolling_id=1),
        replace(far, rolled_key=(1, far.rolled_key[1])),
        replace(far, rolled_key=(far.rolled_key[0], NOON)),
    ):
        assert not roll_up_progress.advance(connection, stale, BEGINNING)
    assert roll_up_progress.progress(connection) == far
    assert roll_up_progress.advance(connection, far, BEGINNING)


def test_of_two_nodes_one_advances(database: Database) -> None:
    def advance(connection: Connection) -> bool:
        return roll_up_progress.advance(connection, BEGINNING, replace(BEGINNING, rolling_id=9))

    with ExitStack() as stack:
        with database.write() as first:
            assert advance(first)
            second = stack.enter_context(meanwhile(database, advance))
        assert second.result(10) is False


@on_postgresql
def test_one_node_rolls_up_at_a_time(database: Database) -> None:
    with database.read() as first:
        assert roll_up_progress.claim(first)
        with database.read() as second:
            assert not roll_up_progress.claim(second)
    with database.read() as second:
        assert roll_up_progress.claim(second)


def test_ids_are_settled_once_whoever_may_hold_one_is_done(database: Database) -> None:
    with database.read() as connection:
        none = roll_up_progress.drawn(connection)
        assert (none.up_to, roll_up_progress.is_settled(connection, none)) == (0, True)
    with database.write() as writing:
        first = beat(writing, 1, 0)
        with database.read() as connection:
            early = roll_up_progress.drawn(connection)
            # A reader of SQLite sees what is committed: an id is drawn when it can be seen.
            settled = roll_up_progress.is_settled(connection, early)
    assert (early.up_to, settled) == {"sqlite": (0, True), "postgresql": (first, False)}[
        database.dialect
    ]
    with database.read() as connection:
        assert roll_up_progress.is_settled(connection, early)
        late = roll_up_progress.drawn(connection)
        assert (late.up_to, late.writers) == (first, frozenset())


# --- outages


@pytest.fixture
def outage(connection: Connection, project_id: int, application_id: int) -> Outage:
    """One that lasts."""
    made = rows.incident(
        connection, project_id, application_id, at(1) + A_MICROSECOND, reason=Reason.FAILED
    )
    return Outage(
        id=made,
        application_id=application_id,
        opened_at=at(1) + A_MICROSECOND,
        closed_at=None,
        rolled_until=None,
    )


def unrolled(connection: Connection, until: float = 9_999) -> list[Outage]:
    return downtime.unrolled(connection, until=at(until), most=9)


def test_an_open_outage_is_found_until_it_is_counted_up_to_the_moment(
    connection: Connection, outage: Outage
) -> None:
    assert unrolled(connection) == [outage]
    assert unrolled(connection, until=1) == [], "it began later"
    assert outage.counted_until == outage.opened_at
    assert downtime.mark_rolled(connection, outage, until=at(50))
    assert unrolled(connection, until=50) == []
    (counted,) = unrolled(connection, until=50.000001)
    assert counted == replace(outage, rolled_until=at(50))
    assert counted.counted_until == at(50)


def test_a_closed_outage_is_found_until_it_is_counted_to_its_end(
    connection: Connection, outage: Outage
) -> None:
    assert downtime.mark_rolled(connection, outage, until=at(50))
    incidents.close_open(connection, outage.application_id, at(40))
    (closed,) = unrolled(connection, until=0)
    assert (closed.closed_at, closed.rolled_until) == (at(40), at(50)), "it lasted less long"
    assert downtime.mark_rolled(connection, closed, until=at(40))
    assert unrolled(connection) == []


def test_an_outage_that_another_process_counted_is_left_to_it(
    connection: Connection, outage: Outage
) -> None:
    assert downtime.mark_rolled(connection, outage, until=at(50))
    assert not downtime.mark_rolled(connection, outage, until=at(60))
    counted = replace(outage, rolled_until=at(50))
    assert not downtime.mark_rolled(connection, replace(counted, rolled_until=at(49)), until=at(60))
    assert downtime.mark_rolled(connection, counted, until=at(60))
    assert unrolled(connection, until=60) == []


def test_outages_are_walked_through_in_the_order_of_their_ids(
    connection: Connection, project_id: int
) -> None:
    made = [
        rows.incident(connection, project_id, rows.application(connection, project_id), at(second))
        for second in (3, 1, 2)
    ]
    walked, after_id = [], 0
    while page := downtime.unrolled(connection, until=at(99), after_id=after_id, most=2):
        walked.append([one.id for one in page])
        after_id = page[-1].id
    assert walked == [made[:2], made[2:]]

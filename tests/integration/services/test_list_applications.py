"""Lists hold what the plain rule picks out of all applications, whatever the database leaves out first."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete

from heartbeat_central.domain import state as machine
from heartbeat_central.domain.application import settings_from
from heartbeat_central.domain.blind_window import BlindWindow, BlindWindows, Cause
from heartbeat_central.domain.schedule import Timing
from heartbeat_central.domain.signal import SignalKind
from heartbeat_central.domain.state import Shown, State
from heartbeat_central.domain.view import ApplicationView, application_view
from heartbeat_central.services import list_applications as service
from heartbeat_central.services.list_applications import count_by_status, list_applications
from heartbeat_central.storage import applications, blind_windows, states, tables
from tests.support.world import BASE_URL, World, at, signal

TAGS = ("db", "d", "München", 'a "quoted" one', "100%")
HORIZON = 30_000
"""Seconds after START that the histories below span: several times every interval."""

SCHEDULES = st.one_of(
    st.sampled_from([60, 600, 7_200]).map(lambda seconds: (seconds, None)),
    st.sampled_from(["* * * * *", "*/20 * * * *", "5 */2 * * *", "0 3 * * *"]).map(
        lambda expression: (None, {"kind": "cron", "expression": expression})
    ),
    st.just((None, {"kind": "oncalendar", "expression": "hourly"})),
)
SECONDS = st.integers(1, HORIZON)


@dataclass(frozen=True)
class Made:
    """An application, and what happened to it when."""

    name: str
    schedule: tuple[int | None, dict[str, str] | None]
    grace: int
    expects_first: bool
    tags: list[str]
    events: list[tuple[int, str]]


MADE = st.builds(
    Made,
    st.sampled_from(["Backup", "back_up 100%", "Über", "mail"]),
    SCHEDULES,
    st.sampled_from([0, 30, 3_600]),
    st.booleans(),
    st.lists(st.sampled_from(TAGS), unique=True, max_size=2),
    st.lists(
        st.tuples(
            SECONDS,
            st.sampled_from(["success"] * 4 + ["start", "fail", "pause", "resume", "clock"]),
        ),
        max_size=6,
    ).map(sorted),
)
WINDOWS = st.lists(
    st.tuples(SECONDS, st.integers(1, 4_000), st.sampled_from([Cause.STOPPED, Cause.STALLED])),
    max_size=2,
)
ASKED = st.fixed_dictionaries(
    {
        "status": st.sampled_from([None, *Shown]),
        "tag": st.sampled_from([None, None, *TAGS, "quoted", "%"]),
        "search": st.sampled_from(["", "", "ACK", "0%", "_"]),
        "limit": st.sampled_from([1, 3, 100]),
    }
)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(MADE, min_size=1, max_size=12),
    WINDOWS,
    SECONDS,
    st.lists(st.tuples(st.integers(0, 8_000), ASKED), min_size=8, max_size=8),
)
def test_lists_and_counts_are_those_of_the_plain_rule(
    world: World,
    made: list[Made],
    windows: list[tuple[int, int, Cause]],
    filled: int,
    asked: list[tuple[int, dict[str, Any]]],
) -> None:
    blind = [
        BlindWindow(started_at=at(begin), ended_at=at(begin + length), cause=cause)
        for begin, length, cause in windows
    ]
    _fill(world, made, blind, filled)
    for later, question in asked:
        seconds = filled + later
        rows = _plain(world, seconds)
        given_: dict[str, Any] = {"now": at(seconds), "base_url": BASE_URL, **question}
        listed: list[ApplicationView] = list_applications(
            world.database,
            world.project_id,
            **given_,
        )
        assert listed == [one for one in rows if _fits(one, question)][: question["limit"]]
        counted = count_by_status(world.database, world.project_id, now=at(seconds))
        assert counted == {status: sum(one.status is status for one in rows) for status in Shown}


def test_it_is_late_although_a_blind_window_grants_it_more_time(world: World) -> None:
    hourly = {"kind": "cron", "expression": "0 * * * *", "timezone": "UTC"}
    one = world.application(schedule=hourly, grace=30)
    with world.database.write() as connection:
        window = BlindWindow(started_at=at(3_500), ended_at=at(3_700), cause=Cause.STOPPED)
        blind_windows.add(connection, window)
    world.detect(3_700)
    (listed,) = list_applications(
        world.database, world.project_id, now=at(3_701), base_url=BASE_URL, status=Shown.LATE
    )
    assert listed == world.look(one, 3_701)
    assert listed.deadline == at(7_230)
    assert count_by_status(world.database, world.project_id, now=at(3_701))[Shown.LATE] == 1


def test_pages_follow_each_other_without_a_gap(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "MOST_AT_ONCE", 4)
    running = []
    for number in range(12):
        one = world.application(f"app {number}")
        world.beat(one, 1)
        if number % 3 == 0:
            world.beat(one, 2, SignalKind.START)
            running.append(one.id)
    # Those without a heartbeat for an interval: all but the running ones are late.
    for status, expected in (
        (Shown.RUNNING, running[::-1]),
        (Shown.LATE, [one.id for one in _plain(world, 65) if one.id not in running]),
    ):
        seen: list[int] = []
        before: int | None = None
        while page := list_applications(
            world.database,
            world.project_id,
            now=at(65),
            base_url=BASE_URL,
            status=status,
            limit=3,
            before_id=before,
        ):
            seen += [one.id for one in page]
            before = seen[-1]
        assert seen == expected


def _fill(world: World, made: list[Made], windows: list[BlindWindow], seconds: int) -> None:
    """Make the applications as they are `seconds` after START, by the rules and without the services."""
    known = [one for one in windows if one.ended_at <= at(seconds)]
    with world.database.write() as connection:
        connection.execute(delete(tables.applications))
        connection.execute(delete(tables.blind_windows))
        for window in known:
            blind_windows.add(connection, window)
        for one in made:
            interval, schedule = one.schedule
            chosen = settings_from(
                name=one.name,
                expected_interval=interval,
                schedule=schedule,
                grace_period=one.grace,
                expect_first_heartbeat=one.expects_first,
                tags=one.tags,
            )
            application_id = applications.add(
                connection,
                project_id=world.project_id,
                uuid=uuid4(),
                settings=chosen,
                now=at(0),
            )
            state = machine.born(chosen.timing, now=at(0))
            for moment, event in one.events:
                if moment <= seconds:
                    state = _after(chosen.timing, state, event, moment, known)
            states.insert_state(connection, application_id, state)


def _after(
    timing: Timing, state: State, event: str, seconds: int, windows: list[BlindWindow]
) -> State:
    now = at(seconds)
    if event == "pause":
        return machine.on_pause(state, now=now).state
    if event == "resume":
        return machine.on_resume(timing, state, now=now).state
    if event == "clock":
        seen = BlindWindows(one for one in windows if one.ended_at <= now)
        return machine.on_clock(timing, state, now=now, windows=seen).state
    return machine.on_signal(
        timing, state, signal(uuid4(), seconds, SignalKind[event.upper()])
    ).state


def _plain(world: World, seconds: int) -> list[ApplicationView]:
    """Return every application as the domain shows it, newest first."""
    with world.database.read() as connection:
        ids = [row.application_id for row in connection.execute(tables.application_states.select())]
        hot = states.load_many(connection, ids)
        windows = blind_windows.since(connection, at(0) - timedelta(days=1))
        loaded = applications.load_many(connection, ids)
    return [
        application_view(loaded[one], hot[one], now=at(seconds), base_url=BASE_URL, windows=windows)
        for one in sorted(ids, reverse=True)
    ]


def _fits(view: ApplicationView, question: dict[str, object]) -> bool:
    search = str(question["search"]).lower()
    return (
        question["status"] in (None, view.status)
        and (question["tag"] is None or question["tag"] in view.tags)
        and (search in view.name.lower() or search in view.slug)
    )

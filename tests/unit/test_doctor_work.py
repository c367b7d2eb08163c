"""What doctor makes of what is stored."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from heartbeat_central.cli.checks import CheckId, State
from heartbeat_central.cli.checks.work import checks
from heartbeat_central.domain.blind_window import BlindWindow, Cause
from heartbeat_central.services.examine import Findings

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
WELL = Findings(
    heard_until=NOW,
    next_check_at=NOW + timedelta(hours=1),
    waiting=0,
    oldest_due_at=None,
    dead=0,
    windows=(),
    unreadable={},
)


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def found(findings: Findings, *, is_running: bool = True) -> dict[CheckId, State]:
    return {check.id: check.state for check in checks(findings, now=NOW, is_running=is_running)}


def test_all_is_well() -> None:
    assert set(found(WELL).values()) == {State.OK}


@pytest.mark.parametrize(
    ("findings", "check", "running", "standing"),
    [
        ({"heard_until": ago(11)}, CheckId.INGEST, State.FAILED, State.NOTE),
        ({"heard_until": None}, CheckId.INGEST, State.NOTE, State.NOTE),
        ({"next_check_at": ago(29)}, CheckId.DETECTOR, State.OK, State.OK),
        ({"next_check_at": ago(31)}, CheckId.DETECTOR, State.FAILED, State.NOTE),
        ({"waiting": 3, "oldest_due_at": ago(119)}, CheckId.OUTBOX, State.OK, State.OK),
        ({"waiting": 3, "oldest_due_at": ago(121)}, CheckId.OUTBOX, State.FAILED, State.NOTE),
        ({"dead": 1}, CheckId.DEAD_LETTERS, State.FAILED, State.FAILED),
        ({"unreadable": {7: "Backup: no"}}, CheckId.APPLICATIONS, State.FAILED, State.FAILED),
        (
            {
                "windows": (
                    BlindWindow(started_at=ago(90), ended_at=ago(60), cause=Cause.CLOCK_SET_BACK),
                )
            },
            CheckId.BLIND_WINDOWS,
            State.NOTE,
            State.NOTE,
        ),
    ],
)
def test_one_thing_is_wrong(
    findings: dict[str, Any], check: CheckId, running: State, standing: State
) -> None:
    for is_running, state in ((True, running), (False, standing)):
        states = found(replace(WELL, **findings), is_running=is_running)
        assert states.pop(check) is state
        assert set(states.values()) == {State.OK}


def test_the_first_few_of_many_bad_ones_are_named_and_each_finding_says_what_to_do() -> None:
    bad = replace(WELL, unreadable={number: f"App {number}: no" for number in range(5)}, dead=2)
    told = {check.id: check for check in checks(bad, now=NOW, is_running=True)}
    assert "App 2: no; and 2 more" in told[CheckId.APPLICATIONS].what
    for check in told.values():
        assert check.what.endswith(".")
        assert bool(check.hint) == (check.state is State.FAILED)

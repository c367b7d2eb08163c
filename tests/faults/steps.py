"""What may happen to the service, and how often: the steps of a run against the reference model."""

from typing import Any
from uuid import UUID

from hypothesis import strategies as st

from tests.faults.reference_model import HOUR, LEASE, SECOND

RIDS = st.sampled_from([None, UUID(int=1), UUID(int=2)])
MOST_APPLICATIONS = 5
MOST_EVER = 9
"""Fewer than make a storm, whose digests are none of the model's business."""

INTERVALS = st.sampled_from([1, 10, 60, 3600, 86_400]).map(lambda seconds: seconds * SECOND)
CRONS = st.sampled_from([1, 5, 15, 60]).map(lambda minutes: minutes * 60 * SECOND)
SCHEDULES = st.one_of(
    INTERVALS.map(lambda interval: (interval, None)), CRONS.map(lambda every: (None, every))
)
GRACES = st.sampled_from([0, 1, 5, 60, 7200]).map(lambda seconds: seconds * SECOND)
SPANS = st.one_of(
    st.sampled_from([1, 50, SECOND, 10 * SECOND, 61 * SECOND, HOUR]),
    st.integers(1, 20 * SECOND),
    st.integers(1, 30 * HOUR),
)
OUTCOMES = st.sampled_from(["delivered", "delivered", "delivered", "pending", "dead"])
NUMBERS = st.integers(0, MOST_APPLICATIONS - 1)
APPLICATION = {
    "schedule": SCHEDULES,
    "grace": GRACES,
    "awaits_first": st.booleans(),
    "channels": st.sampled_from([[0], [0, 1], []]),
}
LATE = st.one_of(st.just(0), st.just(0), st.integers(1, 90 * SECOND))

STEPS: dict[str, tuple[int, dict[str, st.SearchStrategy[Any]]]] = {
    "create": (2, APPLICATION),
    "edit": (
        2,
        {
            "number": NUMBERS,
            "schedule": SCHEDULES,
            "grace": GRACES,
            "awaits_first": st.booleans(),
            "what": st.integers(0, 2),
        },
    ),
    "pause_or_resume": (1, {"number": NUMBERS}),
    "delete": (1, {"number": NUMBERS}),
    "succeed": (8, {"number": NUMBERS, "rid": RIDS, "late": LATE}),
    "start": (3, {"number": NUMBERS, "rid": RIDS, "late": LATE}),
    "fail": (
        2,
        {
            "number": NUMBERS,
            "rid": RIDS,
            "late": LATE,
            "exit_status": st.sampled_from([None, 1, 255]),
        },
    ),
    "log": (1, {"number": NUMBERS}),
    "wait": (3, {"span": SPANS}),
    "wait_for_a_deadline": (
        6,
        {
            "number": NUMBERS,
            "offset": st.sampled_from([-1, 0, 0, 1, 50]),
            "detect": st.booleans(),
        },
    ),
    "detect": (4, {}),
    "go_away": (1, {"span": SPANS}),
    "go_away_over_a_deadline": (
        3,
        {
            "number": NUMBERS,
            "before": st.integers(0, 9 * SECOND),
            "after": st.integers(-1, 9 * SECOND),
            "times": st.sampled_from([1, 1, 1, 2, 5]),
        },
    ),
    "begin_to_send": (2, {}),
    "end_sending": (2, {"number": NUMBERS, "outcome": OUTCOMES}),
    "fail_and_recover_while_sending": (2, {"number": NUMBERS}),
    "fall_behind": (
        2,
        {
            "span": st.sampled_from([LEASE - 1, LEASE, LEASE + 1]),
            "outcome": OUTCOMES,
            "late_outcome": OUTCOMES,
        },
    ),
    "notice_and_tell": (5, {"outcome": OUTCOMES}),
}
"""What may happen: how often, compared with the rest, and what is chosen."""
ANY_STEP = st.sampled_from(
    [name for name, (share, _) in STEPS.items() for _ in range(share)]
).flatmap(lambda name: st.tuples(st.just(name), st.fixed_dictionaries(STEPS[name][1])))

"""What becomes of the alerts that one channel's digest waited for."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from heartbeat_central.domain.alert import AlertKind
from heartbeat_central.domain.digest import MOST_ENTRIES, DigestTopic, ListedApplication
from heartbeat_central.domain.incident import Incident, Reason
from heartbeat_central.domain.state import Shown
from heartbeat_central.domain.storm_digest import DOUBTED, Circumstances, Held, Plan, plan
from tests.support.sample_alerts import application

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
ALONE = Circumstances()


def listed(number: int, status: Shown = Shown.DOWN) -> ListedApplication:
    view = replace(application(f"app {number}"), id=number, status=status)
    return ListedApplication.of(view)


def outage(number: int, *, closed: bool = False) -> Incident:
    opened_at = NOON + timedelta(seconds=number)
    return Incident(
        id=100 + number,
        application_id=number,
        reason=Reason.MISSED,
        opened_at=opened_at,
        closed_at=opened_at + timedelta(minutes=5) if closed else None,
    )


def down(number: int, *, closed: bool = False) -> Held:
    return Held(
        delivery_id=number,
        kind=AlertKind.DOWN,
        application=listed(number),
        incident=outage(number, closed=closed),
    )


def up(number: int) -> Held:
    return Held(
        delivery_id=1000 + number,
        kind=AlertKind.UP,
        application=listed(number, Shown.UP),
        incident=outage(number, closed=True),
    )


def words(decided: Plan) -> tuple[str, str]:
    (one,) = decided.digests
    assert one.digest.topic is DigestTopic.STORM
    return one.digest.title, one.digest.sentence


@pytest.mark.parametrize(
    ("held", "about", "title", "sentence"),
    [
        (
            [down(n) for n in range(12)],
            ALONE,
            "DOWN: 12 applications, likely a shared cause",
            "12 applications went down within 11 s: likely a shared cause.",
        ),
        (
            [down(1), down(2, closed=True)],
            ALONE,
            "DOWN: 2 applications, likely a shared cause",
            "2 applications went down within 1 s: likely a shared cause. "
            "1 of them is not down any more.",
        ),
        (
            [down(1, closed=True), down(2, closed=True), up(2)],
            ALONE,
            "UP: 2 applications went down together, likely a shared cause",
            "2 applications went down within 1 s: likely a shared cause. "
            "2 of them are not down any more.",
        ),
        (
            [down(5), down(6), up(1), up(2)],
            Circumstances(first=False, still_down=9),
            "DOWN: 2 applications, likely a shared cause",
            "2 more applications went down: likely a shared cause. "
            "2 that went down before are not down any more. 9 are down now.",
        ),
        (
            [down(5), up(1)],
            Circumstances(first=False, still_down=1),
            "DOWN: 1 application, likely a shared cause",
            "1 more application went down: likely a shared cause. "
            "1 that went down before is not down any more. 1 is down now.",
        ),
        (
            [up(1), up(2)],
            Circumstances(first=False, still_down=1),
            "UP: 2 applications that went down together",
            "2 applications that went down together are up again. 1 is still down.",
        ),
        (
            [up(1), up(2)],
            Circumstances(first=False, doubted=True),
            "UP: 2 applications that went down together",
            f"2 applications that went down together are up again. {DOUBTED}",
        ),
    ],
)
def test_says_what_happened(
    held: list[Held], about: Circumstances, title: str, sentence: str
) -> None:
    assert words(plan(held, about)) == (title, sentence)


def test_takes_the_place_of_every_alert_and_lists_what_lasts_first() -> None:
    decided = plan([down(3), down(1, closed=True), up(1), down(2)], ALONE)
    (one,) = decided.digests
    assert [entry.application.id for entry in one.digest.entries] == [2, 3, 1]
    assert sorted(one.merged) == [1, 2, 3, 1001]
    assert not decided.released
    assert not decided.cancelled


def test_a_single_outage_is_told_by_its_own_alerts() -> None:
    assert plan([down(1)], ALONE) == Plan(cancelled=[], released=[1])
    assert plan([down(1, closed=True), up(1)], ALONE).released == [1, 1001]


def test_lists_what_was_told_alone_and_does_not_tell_it_twice() -> None:
    about = Circumstances(told=[(listed(1), outage(1)), (listed(2), outage(2))])
    decided = plan([down(2), down(3)], about)
    (one,) = decided.digests
    assert [entry.application.id for entry in one.digest.entries] == [1, 2, 3]
    assert sorted(one.merged) == [2, 3]
    assert words(decided)[0] == "DOWN: 3 applications, likely a shared cause"
    # A channel that has heard of one alone, and now hears of the second.
    (one,) = plan([down(2)], replace(about, told=about.told[:1])).digests
    assert one.merged == [2]


def test_leaves_out_what_was_deleted() -> None:
    gone = Held(delivery_id=9, kind=AlertKind.DOWN, application=None, incident=None)
    decided = plan([gone, down(1), down(2)], ALONE)
    assert decided.cancelled == [9]
    assert len(decided.digests[0].digest.entries) == 2
    assert plan([gone], ALONE) == Plan(cancelled=[9], released=[])


def test_a_list_that_is_too_long_for_one_message_comes_in_several() -> None:
    count = 2 * MOST_ENTRIES + 1
    decided = plan([down(number) for number in range(count)], ALONE)
    sizes = [len(one.digest.entries) for one in decided.digests]
    assert sizes == [MOST_ENTRIES, MOST_ENTRIES, 1]
    assert sorted(id_ for one in decided.digests for id_ in one.merged) == list(range(count))
    assert decided.digests[1].digest.title.endswith(", likely a shared cause (2 of 3)")
    assert decided.digests[1].digest.sentence == decided.digests[0].digest.sentence

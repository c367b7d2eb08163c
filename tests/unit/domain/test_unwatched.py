"""What channels are told of applications that can't be watched: few words, one list, nobody left out."""

from dataclasses import replace

from heartbeat_central.domain.digest import MOST_ENTRIES, DigestTopic, ListedApplication
from heartbeat_central.domain.unwatched import digests
from tests.support.sample_alerts import application

GOOD = ListedApplication.of(application("Mail"))
BAD = replace(GOOD, problem="no zone")


def test_one_is_named_in_the_title() -> None:
    (told,) = digests([BAD])
    assert told.topic is DigestTopic.NOT_WATCHED
    assert told.title == "NOT WATCHED: Mail"
    assert told.sentence == (
        "Mail can't be watched: what is stored of it can't be used."
        " Nobody is told when it misses a heartbeat until its settings are corrected."
    )
    (told,) = digests([GOOD])
    assert told.title == "WATCHED AGAIN: Mail"
    assert told.sentence == "Mail is watched again: what is stored of it can be used."


def test_several_are_counted_and_listed_by_name() -> None:
    found = [replace(BAD, id=number, name=name) for number, name in enumerate("CAB")]
    mended = [replace(GOOD, id=number, name=name) for number, name in enumerate("ED", 3)]
    bad, good = digests([*mended, *found])
    assert [one.name for one in bad.applications()] == ["A", "B", "C"]
    assert bad.title == "NOT WATCHED: 3 applications"
    assert bad.sentence == (
        "3 applications can't be watched: what is stored of them can't be used."
        " Nobody is told when they miss a heartbeat until their settings are corrected."
    )
    assert [one.name for one in good.applications()] == ["D", "E"]
    assert good.sentence == (
        "2 applications are watched again: what is stored of them can be used."
    )


def test_a_list_that_is_too_long_comes_in_parts() -> None:
    found = [replace(BAD, id=number) for number in range(MOST_ENTRIES + 1)]
    first, second = digests(found)
    assert first.title == f"NOT WATCHED: {MOST_ENTRIES + 1} applications (1 of 2)"
    assert second.title == f"NOT WATCHED: {MOST_ENTRIES + 1} applications (2 of 2)"
    assert len(first.entries) + len(second.entries) == MOST_ENTRIES + 1


def test_nothing_is_told_of_nobody() -> None:
    assert digests([]) == []

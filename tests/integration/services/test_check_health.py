"""Health: each part by name."""

from pathlib import Path

import pytest

from heartbeat_central.domain.work import Work
from heartbeat_central.services.check_health import PartStatus, Vitals, check_health
from heartbeat_central.storage.engine import open_database
from tests.support.world import START, World, at


def working() -> Vitals:
    vitals = Vitals()
    vitals.ok("ingest", START)
    vitals.ok("notice", START)
    vitals.ok("tell", START)
    return vitals


def test_is_well_when_every_part_has_worked_lately(world: World) -> None:
    assert check_health(world.database, working(), now=at(5)).ok


JOBS = {"ingest": "ingest", "notice": "detector", "tell": "outbox"}


@pytest.mark.parametrize(("job", "part"), JOBS.items())
def test_names_the_part_that_has_stopped(world: World, job: str, part: str) -> None:
    vitals = working()
    for other in JOBS.keys() - {job}:
        vitals.ok(other, at(60))
    vitals.failed(job, "a bug")
    health = check_health(world.database, vitals, now=at(61))
    assert [name for name, found in health.parts.items() if not found.ok] == [part]
    assert health.parts[part].detail == "a bug"
    assert health.as_json()["status"] == "unhealthy"


def test_lost_heartbeats_are_told_sooner_than_a_late_alert(world: World) -> None:
    health = check_health(world.database, working(), now=at(11))
    assert [name for name, found in health.parts.items() if not found.ok] == ["ingest"]


def test_names_an_outbox_that_does_not_send_what_is_due(world: World) -> None:
    vitals = working()
    vitals.waits("tell", at(-100))
    assert check_health(world.database, vitals, now=at(5)).ok
    vitals.waits("tell", at(-121))
    health = check_health(world.database, vitals, now=at(5))
    assert [name for name, found in health.parts.items() if not found.ok] == ["outbox"]
    assert "due for 126 s" in str(health.parts["outbox"].detail)


def test_success_at_a_time_still_to_come_was_before_the_clock_was_set_back(world: World) -> None:
    assert not check_health(world.database, working(), now=at(-3600)).ok


def test_is_not_well_before_the_first_run(world: World) -> None:
    assert not check_health(world.database, Vitals(), now=START).ok


def test_names_an_absent_database(tmp_path: Path) -> None:
    nowhere = open_database(f"sqlite:///{tmp_path}/no/such/folder/x.db")
    health = check_health(nowhere, working(), now=at(1))
    assert not health.parts["database"].ok
    nowhere.close()


@pytest.mark.parametrize(
    ("work", "elsewhere"),
    [
        (Work.RECORD, {"detector": Work.MONITOR, "outbox": Work.MONITOR}),
        (Work.WEB, {"ingest": Work.RECORD, "detector": Work.MONITOR, "outbox": Work.MONITOR}),
        (Work.MONITOR, {"ingest": Work.RECORD}),
    ],
)
def test_does_not_judge_what_other_processes_do(
    world: World, work: Work, elsewhere: dict[str, Work]
) -> None:
    health = check_health(world.database, working(), now=START, does={work})
    assert health.ok
    found = {
        name: part for name, part in health.parts.items() if part.status is PartStatus.ELSEWHERE
    }
    assert found.keys() == elsewhere.keys()
    for name, whose in elsewhere.items():
        assert f"--only {whose}" in str(found[name].detail)


def test_tells_the_public_no_reasons(world: World) -> None:
    vitals = working()
    vitals.failed("notice", "no connection to db.internal:5432")
    shown = check_health(world.database, vitals, now=at(1)).public()
    assert shown.ok
    assert "db.internal" not in str(shown.as_json())

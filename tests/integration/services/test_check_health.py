"""Health: each part by name."""

from pathlib import Path

import pytest

from heartbeat_central.domain.work import Work
from heartbeat_central.services.check_health import PartStatus, Vitals, check_health
from heartbeat_central.storage.engine import open_database
from tests.support.world import START, World, at


def working() -> Vitals:
    vitals = Vitals()
    vitals.ok("notice", START)
    vitals.ok("tell", START)
    return vitals


def test_is_well_when_every_part_has_worked_lately(world: World) -> None:
    assert check_health(world.database, working(), now=at(5)).ok


@pytest.mark.parametrize(("job", "part"), [("notice", "detector"), ("tell", "outbox")])
def test_names_the_part_that_has_stopped(world: World, job: str, part: str) -> None:
    vitals = working()
    vitals.ok("tell" if job == "notice" else "notice", at(60))
    vitals.failed(job, "a bug")
    health = check_health(world.database, vitals, now=at(61))
    assert [name for name, found in health.parts.items() if not found.ok] == [part]
    assert health.parts[part].detail == "a bug"
    assert health.as_json()["status"] == "unhealthy"


def test_is_not_well_before_the_first_run(world: World) -> None:
    assert not check_health(world.database, Vitals(), now=START).ok


def test_names_an_absent_database(tmp_path: Path) -> None:
    nowhere = open_database(f"sqlite:///{tmp_path}/no/such/folder/x.db")
    health = check_health(nowhere, working(), now=at(1))
    assert not health.parts["database"].ok
    nowhere.close()


@pytest.mark.parametrize("work", [Work.RECORD, Work.WEB])
def test_does_not_judge_what_other_processes_do(world: World, work: Work) -> None:
    health = check_health(world.database, Vitals(), now=START, does={work})
    assert health.ok
    for name in ("detector", "outbox"):
        assert health.parts[name].status is PartStatus.ELSEWHERE
        assert "--only monitor" in str(health.parts[name].detail)


def test_tells_the_public_no_reasons(world: World) -> None:
    vitals = working()
    vitals.failed("notice", "no connection to db.internal:5432")
    shown = check_health(world.database, vitals, now=at(1)).public()
    assert shown.ok
    assert "db.internal" not in str(shown.as_json())

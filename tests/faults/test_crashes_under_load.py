"""The service is killed and stopped while clients call: what was answered stays."""

import random
import time
from pathlib import Path

import pytest

from tests.faults.conftest import Report
from tests.faults.scene import scene


@pytest.mark.parametrize(
    ("kills", "ends"), [(1, 1), pytest.param(15, 6, marks=pytest.mark.soak, id="soak")]
)
def test_killed_and_ended_under_load_it_loses_nothing_and_alarms_for_the_dead_alone(
    database_url: str, tmp_path: Path, report: Report, kills: int, ends: int
) -> None:
    ready, drained = [], []
    with scene(tmp_path, database_url) as world:
        # How soon it is ready again is told of a start as it is.
        world.service.own_interpreter = True
        with world.load() as load:
            for _ in range(kills):
                load.wait_for(random.randint(1, 150))
                world.service.kill()
                begun = time.monotonic()
                world.service.start()
                load.wait_for(1)
                ready.append(time.monotonic() - begun)
            world.wait_until_told()
            for one in range(ends):
                if one:
                    world.service.start()
                load.wait_for(random.randint(50, 200))
                begun = time.monotonic()
                assert world.service.stop() == 0
                drained.append(time.monotonic() - begun)
        found = world.verify(load, crashes=kills)
    # Five seconds are promised; a test machine that is busy elsewhere gets more.
    assert max(ready) < 20
    assert max(drained) < 10
    report(
        f"kill -9 {kills} times, SIGTERM {ends} times: {load.acknowledged} acknowledged, "
        f"{len(found.beats)} stored; ready again after {max(ready):.1f} s at most, "
        f"ended within {max(drained):.2f} s"
    )

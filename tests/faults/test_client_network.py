"""The network between clients and the service fails: it costs nobody else anything."""

from pathlib import Path

import pytest

from tests.faults.conftest import Report
from tests.faults.load import Load
from tests.faults.proxy import Proxy
from tests.faults.scene import scene


@pytest.mark.parametrize("rounds", [1, pytest.param(8, marks=pytest.mark.soak, id="soak")])
def test_clients_behind_a_bad_network_harm_nobody_and_what_they_were_told_holds(
    sqlite_url: str, tmp_path: Path, report: Report, rounds: int
) -> None:
    with scene(tmp_path, sqlite_url) as world, Proxy(world.service.port) as proxy:
        # Cut off for a while: no interval of a second would outlast that, and rightly so.
        far = [world.application(f"far {one}", interval=3600) for one in range(4)]
        with (
            Load(proxy.port, far, clients=4, patience=0.5, padding=3_000) as behind,
            world.load() as near,
        ):
            for _ in range(rounds):
                for fault in (
                    proxy.reset,
                    proxy.cut,
                    proxy.black_hole,
                    lambda: proxy.black_hole("to_client"),
                    proxy.freeze,
                ):
                    behind.wait_for(10)
                    # A reset is over in a moment, and so is what comes of it.
                    known = len(behind.calls)
                    fault()
                    behind.wait_for_failure(after=known)
                    near.wait_for(10)
                    proxy.heal()
                proxy.delay(0.05)
                behind.wait_for(10)
                proxy.heal()
            world.wait_until_told()
            assert near.statuses() == {200}
            assert behind.statuses() == {200, None}
            assert world.service.stop() == 0
        found = world.verify(near, behind, crashes=0)
    report(
        f"bad network of clients, {rounds} rounds of 6 faults: {behind.acknowledged} of "
        f"{len(behind.calls)} acknowledged behind it, {near.acknowledged} of others, "
        f"{len(found.beats)} stored"
    )

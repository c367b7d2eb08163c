"""The digest after a blind window, as a receiver gets it: the right names, once, and then who is dead.

A digest goes out a minute after its window. So the first test gives the time to the services; the second
waits for it with a real process.
"""

import json
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from heartbeat_central.services.prove_reception import reception_proven_until
from heartbeat_central.services.tell_blind_windows import tell_blind_windows
from tests.faults.conftest import Report
from tests.faults.load import Load
from tests.support.process import Process
from tests.support.receivers.http import HttpReceiver
from tests.support.service import Service, wait_until
from tests.support.world import BASE_URL, START, World, at

QUICK = {"interval": 8, "grace": 2}
SLOW = {"interval": 70, "grace": 5}
"""Dead, this one is told after the digest: its deadline is put off to more than a minute after the window."""


@pytest.fixture
def receiver() -> Iterator[HttpReceiver]:
    with HttpReceiver() as listening:
        yield listening


class Told:
    """What the receiver got."""

    def __init__(self, receiver: HttpReceiver) -> None:
        self.all = [json.loads(request.body) for request in list(receiver.requests)]

    def in_short(self) -> list[tuple[str, tuple[str, ...]]]:
        """Return events with names, in the order in which they came."""
        return [(one["event"], self._names(one)) for one in self.all]

    def opened_at(self, name: str) -> datetime:
        """Return when the outage began that was told of that application."""
        [down] = [
            one for one in self.all if one["event"] == "down" and one["application"]["name"] == name
        ]
        assert down["incident"]["reason"] == "missed"
        return datetime.fromisoformat(down["incident"]["opened_at"])

    def digest(self) -> dict[str, Any]:
        """Return the only one."""
        [digest] = [one for one in self.all if one["event"] == "digest"]
        assert digest["topic"] == "blind_window"
        return dict(digest)

    def _names(self, one: dict[str, Any]) -> tuple[str, ...]:
        listed = [one["application"]] if one["application"] else one["applications"]
        return tuple(sorted(each["name"] for each in listed))


EXPECTED = [
    ("down", ("dead, quick",)),
    ("digest", ("dead, quick", "dead, slow")),
    ("down", ("dead, slow",)),
]


def test_the_receiver_gets_one_digest_and_then_the_outage_of_the_dead(
    world: World, receiver: HttpReceiver
) -> None:
    channel = world.webhook(receiver.url)
    dead = [
        world.application("dead, quick", channels=[channel], **QUICK),
        world.application("dead, slow", channels=[channel], **SLOW),
    ]
    healthy = [
        world.application("calls again, quick", channels=[channel], **QUICK),
        world.application("calls again, slow", channels=[channel], **SLOW),
    ]
    # A restart is no news of one that is due in hours, be it dead or not.
    due_later = world.application("due later", interval=8 * 3600, channels=[channel])
    process = Process(world.database)

    def live(start: int, end: int) -> None:
        for second in range(start, end):
            process.beat(second)
            if second % 5 == 0:
                for one in healthy:
                    world.beat(one, second)
            now = reception_proven_until(world.database)
            assert now is not None
            world.detect((now - START).total_seconds())
            tell_blind_windows(world.database, now=at(second), base_url=BASE_URL)
            for claimed in world.claim(second):
                world.send(claimed, second)

    process.beat(0)
    for one in [*dead, due_later]:
        world.beat(one, 1)
    live(1, 4)
    # Killed after its proof of second 3; nothing is heard until another one starts.
    process = Process(world.database)
    live(14, 100)
    told = Told(receiver)
    assert told.in_short() == EXPECTED
    assert told.opened_at("dead, quick") == at(14 + 8 + 2)
    assert told.opened_at("dead, slow") == at(14 + 70 + 5)
    digest = told.digest()
    [outage] = digest["incidents"]
    assert datetime.fromisoformat(outage["opened_at"]) == at(14 + 8 + 2)
    assert "(11 s): it was not running." in digest["text"]


@pytest.mark.soak
def test_a_process_that_is_killed_tells_whose_heartbeat_it_may_have_lost(
    database_url: str, tmp_path: Path, receiver: HttpReceiver, report: Report
) -> None:
    with Service(tmp_path / "service", DATABASE_URL=database_url) as service:
        channel = service.api(
            "POST",
            "/channels",
            {"name": "hook", "type": "webhook", "config": {"url": receiver.url + "/hook"}},
        )

        def application(name: str, *, interval: int, grace: int = 0) -> dict[str, Any]:
            body = {"name": name, "expected_interval": interval, "grace_period": grace}
            made: dict[str, Any] = service.api(
                "POST", "/applications", {**body, "channels": [channel["id"]]}
            )
            return made

        dead = [application("dead, quick", **QUICK), application("dead, slow", **SLOW)]
        healthy = [
            application("calls again, quick", **QUICK),
            application("calls again, slow", **SLOW),
        ]
        due_later = application("due later", interval=8 * 3600)
        for one in [*dead, *healthy, due_later]:
            service.beat(one)

        service.kill()
        # The quick ones miss their turn meanwhile.
        back = time.monotonic() + 12
        wait_until(lambda: time.monotonic() >= back, "time to pass", 20)
        service.start()
        with Load(service.port, [one["uuid"] for one in healthy], pause=1):
            wait_until(lambda: len(receiver.requests) >= len(EXPECTED), "all to be told", 150)
        told = Told(receiver)
        assert told.in_short() == EXPECTED
        [window] = [
            json.loads(line)
            for line in service.log().splitlines()
            if '"event": "blind_window"' in line
        ]
        ended_at = datetime.fromisoformat(window["ended_at"])
        assert told.opened_at("dead, quick") == ended_at + timedelta(seconds=8 + 2)
        assert told.opened_at("dead, slow") == ended_at + timedelta(seconds=70 + 5)
        # Nobody else is told of later.
        path = f"/channels/{channel['id']}/deliveries"
        assert len(service.api("GET", path)) == len(EXPECTED)
    report(f"blind for {window['seconds']:.1f} s; one digest, then the outage at its deadline")

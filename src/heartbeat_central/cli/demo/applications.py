"""The simulated applications: what each is called, how it is watched and what it will do.

All of it is data. Seconds count from the start of the demo; a story that `repeats` begins anew.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import ceil


@dataclass(frozen=True, slots=True)
class Call:
    """One request to an application's heartbeat URL."""

    at: float
    """Seconds from the start of the story."""
    path: str = ""
    """What follows the heartbeat URL: nothing for a success, `/start`, `/fail`, `/3`, `/log`."""
    body: str = ""
    """What the application says with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """One simulated application."""

    name: str
    interval: int
    """Seconds between the heartbeats it should send."""
    grace: int
    """Seconds that it may be late."""
    plot: str
    """What will happen, as one line for the audience."""
    description: str
    tags: tuple[str, ...]
    calls: tuple[Call, ...]
    """The story, in the order of time."""
    repeats: float
    """Length of the story in seconds, after which it begins anew."""
    paused: bool = False
    """Whether it is paused before anything happens."""

    def at_speed(self, speed: float) -> "Actor":
        """Return the same story, told `speed` times as fast.

        Applications are watched in whole seconds, so that those are rounded up: nobody goes down
        who would not at speed 1.
        """
        return replace(
            self,
            interval=ceil(self.interval / speed),
            grace=ceil(self.grace / speed),
            plot=re.sub(
                r"(\d+) s\b", lambda seconds: f"{float(seconds[1]) / speed:g} s", self.plot
            ),
            calls=tuple(replace(call, at=call.at / speed) for call in self.calls),
            repeats=self.repeats / speed,
        )

    def script(self) -> Iterator[Call]:
        """Yield every call for ever, with `at` counted from the start of the demo."""
        begun = 0.0
        while self.calls:
            for call in self.calls:
                yield Call(begun + call.at, call.path, call.body)
            begun += self.repeats


def _every(seconds: float, until: float, *, start: float = 0.0, body: str = "") -> tuple[Call, ...]:
    count = int((until - start) / seconds)
    return tuple(Call(start + turn * seconds, "", body) for turn in range(count))


def _steady(name: str, interval: int, description: str, *tags: str, start: float = 0.0) -> Actor:
    return Actor(
        name=name,
        interval=interval,
        grace=3,
        plot="stays up",
        description=description,
        tags=tags,
        calls=(Call(start),),
        repeats=interval,
    )


CAST: Sequence[Actor] = (
    _steady("Web shop", 5, "The shop itself, called in by its own process.", "shop", start=0.2),
    _steady("Payment gateway", 5, "Card payments.", "shop", "critical", start=0.9),
    _steady("Customer database replica", 6, "Follows the primary.", "database", start=1.5),
    _steady("Home Assistant", 10, "Lights and heating at home.", "home", start=2.1),
    Actor(
        name="Mail queue worker",
        interval=4,
        grace=2,
        plot="hangs after 12 s for 16 s, then works again; over and over",
        description="Sends the mails of the shop.",
        tags=("mail",),
        calls=_every(4, 13, start=0.4),
        repeats=30,
    ),
    Actor(
        name="Nightly backup",
        interval=20,
        grace=10,
        plot="starts, runs for 6 s, ends well and says what it did",
        description="Every night in real life, every 20 seconds here.",
        tags=("backup", "critical"),
        calls=(
            Call(1, "/start"),
            Call(7, "", "4,213 files, 18.2 GB, 0 errors\nchecked: ok"),
        ),
        repeats=20,
    ),
    Actor(
        name="Certificate renewal",
        interval=15,
        grace=5,
        plot="fails with exit status 1 every other time, then succeeds",
        description="Renews what is about to expire.",
        tags=("tls",),
        calls=(
            Call(3, "/0", "Certificate not yet due for renewal"),
            Call(18, "/1", "Challenge failed for domain shop.example.org: connection refused"),
        ),
        repeats=30,
    ),
    Actor(
        name="Search indexer",
        interval=5,
        grace=8,
        plot="is late every third time, but never past its grace period: no alert",
        description="Keeps the search up to date.",
        tags=("shop", "search"),
        calls=(Call(0.6), Call(5.6), Call(10.6)),
        repeats=20,
    ),
    Actor(
        name="Monthly report",
        interval=60,
        grace=12,
        plot="starts and never ends: down after 12 s",
        description="Invoices and figures for the accountants.",
        tags=("office",),
        calls=(Call(2, "/start", "collecting figures"),),
        repeats=90,
    ),
    Actor(
        name="Old FTP import",
        interval=5,
        grace=3,
        plot="dies for good after 11 s",
        description="Nobody dares to touch it.",
        tags=("legacy",),
        calls=_every(5, 11, start=1.1),
        repeats=10_000_000,
    ),
    Actor(
        name="Greenhouse sensor",
        interval=10,
        grace=5,
        plot="never calls in at all",
        description="Was it ever switched on?",
        tags=("home",),
        calls=(),
        repeats=10_000_000,
    ),
    Actor(
        name="Database migration",
        interval=8,
        grace=4,
        plot="reports a failure after 20 s, with its log, and is mended 12 s later",
        description="Moves the orders to their new tables.",
        tags=("database",),
        calls=(
            *_every(8, 18, start=0.8),
            Call(19, "/log", "step 3 of 7: copying table orders"),
            Call(20, "/fail", "deadlock detected while copying table orders"),
            Call(32, "", "step 7 of 7: done"),
        ),
        repeats=40,
    ),
    Actor(
        name="Staging server",
        interval=5,
        grace=3,
        plot="is paused: calls or silence, nothing comes of it",
        description="Being rebuilt this week.",
        tags=("staging",),
        calls=(Call(4),),
        repeats=30,
        paused=True,
    ),
)

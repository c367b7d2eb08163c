"""What the whole service should do, told a second time: plainly, from its documentation, in memory.

It shares no code with the service. Times are whole milliseconds from a noon on, UTC.
"""

from dataclasses import dataclass, field
from uuid import UUID

SECOND = 1_000
HOUR = 3_600 * SECOND
LEASE = 12 * SECOND
RETRY_AFTER = HOUR
"""What the receiver asks for when it is busy."""
BUDGET = 24 * HOUR


@dataclass
class Incident:
    reason: str
    opened: int
    exit_status: int | None = None
    closed: int | None = None


@dataclass
class Application:
    interval: int | None
    every: int | None
    """A cron expression that fires whenever this much has passed; instead of an interval."""
    grace: int
    awaits_first: bool
    channels: list[int]
    armed: int
    """Silence counts from here on until a heartbeat comes."""
    status: str = "new"
    last: int | None = None
    run: tuple[int, UUID | None] | None = None
    stored: int = 0
    incidents: list[Incident] = field(default_factory=list)

    def after(self, moment: int) -> int:
        if self.interval is not None:
            return moment + self.interval
        assert self.every is not None
        return (moment // self.every + 1) * self.every

    def counted_from(self) -> int:
        return self.armed if self.last is None else max(self.last, self.armed)

    def expected(self) -> int | None:
        if self.status == "paused" or (self.status == "new" and not self.awaits_first):
            return None
        return self.after(self.counted_from())

    def lead(self) -> int:
        """How much earlier than expected a heartbeat may come."""
        return 0 if self.interval is None else max(self.grace, self.interval // 10, HOUR)


@dataclass(eq=False)
class Delivery:
    kind: str
    application: str
    number: int
    """Which of the application's outages it tells of."""
    channel: int
    due: int
    status: str = "pending"
    attempt: int = 0
    leased: bool = False
    first: int | None = None
    told: int = 0
    """How often the receiver got it."""


class Model:
    def __init__(self) -> None:
        self.now = 0
        self.applications: dict[str, Application] = {}
        self.blind: list[tuple[int, int]] = []
        self.deliveries: list[Delivery] = []

    # --- silence -----------------------------------------------------------------------------

    def deadline(self, one: Application) -> tuple[int, str] | None:
        """When it is down and why, as far as can be told now."""
        due = []
        if one.run is not None and one.grace > 0:
            due.append(self._extended(one, one.run[0], one.run[0] + one.grace, "unfinished"))
        expected = one.expected()
        if expected is not None:
            begin = max(min(expected, one.counted_from()), expected - one.lead())
            due.append(self._extended(one, begin, expected + one.grace, "missed"))
        return min(due, key=lambda found: found[0], default=None)

    def _extended(self, one: Application, begin: int, end: int, why: str) -> tuple[int, str]:
        for granted in range(4):
            over = [window for window in self.blind if window[0] <= end and window[1] >= begin]
            if not over:
                return end, why
            first, last = min(start for start, _ in over), max(end for _, end in over)
            if one.interval is None:
                following = one.after(max(begin, last))
                span = following, following + one.grace
            else:
                earliest = max(begin, first) + one.interval - one.lead()
                span = max(begin, earliest), last + one.interval + one.grace
                if span[1] <= end:
                    return end, why
            if granted == 3:
                return end, "unverified"
            begin, end = span
        raise AssertionError("not reached")

    def shown(self, one: Application) -> str:
        expected = one.expected()
        if one.status in ("down", "paused"):
            return one.status
        if one.run is not None:
            return "running"
        return "late" if expected is not None and expected <= self.now else one.status

    def detect(self) -> None:
        for name, one in self.applications.items():
            due = self.deadline(one)
            if one.status in ("new", "up") and due is not None and due[0] <= self.now:
                one.run = None
                self._went_down(name, one, Incident(due[1], due[0]))

    # --- signals -----------------------------------------------------------------------------

    def signal(
        self, name: str, kind: str, at: int, rid: UUID | None, exit_status: int | None
    ) -> None:
        one = self.applications[name]
        one.stored += 1
        if one.status == "paused" or kind == "log":
            return
        if kind == "start":
            one.run = at, rid
            return
        if one.run is not None and (kind == "fail" or rid in (None, one.run[1])):
            one.run = None
        was, before = one.status, one.last
        one.last = at if before is None else max(before, at)
        if kind == "success":
            one.status = "up"
            if was == "down":
                self._closed(one, at)
                self._tell("up", name, one)
        elif was != "down":
            self._went_down(name, one, Incident("failed", at, exit_status))

    def _went_down(self, name: str, one: Application, incident: Incident) -> None:
        one.status = "down"
        one.incidents.append(incident)
        self._tell("down", name, one)

    def _closed(self, one: Application, at: int) -> None:
        one.incidents[-1].closed = max(at, one.incidents[-1].opened)

    # --- people ------------------------------------------------------------------------------

    def edit(self, one: Application, **timing: int | bool | None) -> None:
        if all(getattr(one, name) == value for name, value in timing.items()):
            return
        for name, value in timing.items():
            setattr(one, name, value)
        due = self.deadline(one)
        if one.status in ("new", "up") and due is not None and due[0] <= self.now:
            one.armed, one.run = self.now, None

    def pause(self, one: Application) -> None:
        if one.status == "down":
            self._closed(one, self.now)
        one.status, one.run = "paused", None

    def resume(self, one: Application) -> None:
        if one.status == "paused":
            one.status, one.armed = "new", self.now

    # --- telling -----------------------------------------------------------------------------

    def _tell(self, kind: str, name: str, one: Application) -> None:
        number = len(one.incidents) - 1
        for channel in one.channels:
            self.deliveries.append(Delivery(kind, name, number, channel, self.now))

    def may_be_claimed(self, one: Delivery) -> bool:
        """An alert waits for an earlier one of its application that is due or under way."""
        earlier = self.deliveries[: self.deliveries.index(one)]
        return (
            one.status == "pending"
            and one.due <= self.now
            and not any(
                other.status == "pending" and (other.leased or other.due <= self.now)
                for other in earlier
                if (other.application, other.channel) == (one.application, one.channel)
            )
        )

    def is_overtaken(self, one: Delivery) -> bool:
        about = self.applications.get(one.application)
        if about is None:
            return True
        return one.kind == "down" and about.incidents[one.number].closed is not None

    def claim(self, one: Delivery) -> int:
        one.attempt, one.due, one.leased = one.attempt + 1, self.now + LEASE, True
        one.first = self.now if one.first is None else one.first
        return one.attempt

    def finish(self, one: Delivery, attempt: int, outcome: str) -> None:
        one.told += outcome == "delivered"
        if one.status != "pending" or one.attempt != attempt:
            return  # another has taken it over: what this one says counts no more
        assert one.first is not None
        one.leased = False
        if outcome == "pending" and self.now + RETRY_AFTER > one.first + BUDGET:
            outcome = "dead"
        one.status, one.due = outcome, self.now + RETRY_AFTER

    # --- the service itself ------------------------------------------------------------------

    def restarted(self, since: int, *, alone: bool) -> None:
        """Nobody listened from `since` to now. The only process there can be ends all leases."""
        if self.blind and self.blind[-1][1] == since:
            since = self.blind.pop()[0]
        self.blind.append((since, self.now))
        for one in self.deliveries:
            if alone and one.leased and one.status == "pending":
                one.leased, one.due = False, self.now

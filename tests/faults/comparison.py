"""The service and its reference model, side by side: the same happens to both."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from heartbeat_central.domain.signal import SignalKind
from heartbeat_central.domain.view import ApplicationView
from heartbeat_central.services.deliver_alerts import deliver, take_back_all
from heartbeat_central.services.detect_missed import next_check
from heartbeat_central.services.manage_applications import change_application, delete_application
from heartbeat_central.services.prove_reception import stop_node
from heartbeat_central.services.prune_history import make_room
from heartbeat_central.services.record_outcomes import record_outcomes
from heartbeat_central.storage.leases import Claimed
from tests.faults.reference_model import SECOND, Application, Delivery, Model
from tests.faults.steps import ANY_STEP, APPLICATION, MOST_APPLICATIONS, MOST_EVER
from tests.faults.subject import Seen, Subject
from tests.support.process import Process
from tests.support.world import BASE_URL, at, signal


@dataclass(frozen=True)
class Sending:
    """What was claimed and is not sent yet."""

    claimed: Claimed
    delivery: Delivery
    attempt: int


class Comparison(RuleBasedStateMachine):
    """Does the same to both, and compares all that can be seen after each step."""

    def __init__(self, service: Subject) -> None:
        super().__init__()
        self.service = service
        self.world = service.world
        self.database = service.world.database
        self.alone = self.database.dialect == "sqlite"
        self.model = Model()
        self.process = Process(self.database)
        self.views: dict[str, ApplicationView] = {}
        self.created = 0
        self.known: dict[int, Delivery] = {}
        """Deliveries of the database and of the model that are the same."""
        self.uuids: dict[Delivery, UUID] = {}
        self.held: list[Sending] = []
        service.clear()
        self.process.beat(0)

    @property
    def seconds(self) -> float:
        return self.model.now / SECOND

    @property
    def now(self) -> datetime:
        return at(self.seconds)

    def name(self, number: int) -> str:
        names = list(self.model.applications)
        return names[number % len(names)]

    @initialize(first=st.fixed_dictionaries(APPLICATION), second=st.fixed_dictionaries(APPLICATION))
    def begin_with_two(self, first: dict[str, Any], second: dict[str, Any]) -> None:
        self.create(**first)
        self.create(**second)
        self.compare()

    @rule(step=ANY_STEP)
    def step(self, step: tuple[str, dict[str, Any]]) -> None:
        name, chosen = step
        getattr(self, name)(**chosen)
        self.compare()

    # --- people ------------------------------------------------------------------------------

    def create(
        self,
        schedule: tuple[int | None, int | None],
        grace: int,
        awaits_first: bool,
        channels: list[int],
    ) -> None:
        if len(self.model.applications) >= MOST_APPLICATIONS or self.created >= MOST_EVER:
            return
        interval, every = schedule
        name = f"application {self.created}"
        self.created += 1
        self.views[name] = self.world.application(
            name,
            created_at=self.seconds,
            interval=(interval or 0) // SECOND,
            schedule=cron(every),
            grace=grace // SECOND,
            expect_first_heartbeat=awaits_first,
            channels=[self.service.channels[one] for one in channels],
        )
        self.model.applications[name] = Application(
            interval, every, grace, awaits_first, channels, self.model.now
        )

    def change(self, number: int, **changes: Any) -> Application:
        name = self.name(number)
        change_application(
            self.database,
            self.world.project_id,
            self.views[name].id,
            changes,
            now=self.now,
            base_url=BASE_URL,
        )
        return self.model.applications[name]

    def edit(
        self,
        number: int,
        schedule: tuple[int | None, int | None],
        grace: int,
        awaits_first: bool,
        what: int,
    ) -> None:
        interval, every = schedule
        if what == 0:
            application = self.change(
                number, grace_period=grace // SECOND, expect_first_heartbeat=awaits_first
            )
            self.model.edit(application, grace=grace, awaits_first=awaits_first)
        elif interval is not None:
            application = self.change(number, expected_interval=interval // SECOND)
            self.model.edit(application, interval=interval, every=None)
        else:
            application = self.change(number, schedule=cron(every))
            self.model.edit(application, interval=None, every=every)

    def pause_or_resume(self, number: int) -> None:
        is_paused = self.model.applications[self.name(number)].status == "paused"
        application = self.change(number, is_active=is_paused)
        if is_paused:
            self.model.resume(application)
        else:
            self.model.pause(application)

    def delete(self, number: int) -> None:
        if len(self.model.applications) < 3:
            return
        name = self.name(number)
        view = self.views.pop(name)
        delete_application(self.database, self.world.project_id, view.id, now=self.now)
        del self.model.applications[name]

    # --- signals -----------------------------------------------------------------------------

    def succeed(self, number: int, rid: UUID | None, late: int) -> None:
        self.send("success", number, rid, late)

    def start(self, number: int, rid: UUID | None, late: int) -> None:
        self.send("start", number, rid, late)

    def fail(self, number: int, rid: UUID | None, late: int, exit_status: int | None) -> None:
        self.send("fail", number, rid, late, exit_status)

    def log(self, number: int) -> None:
        self.send("log", number)

    def send(
        self,
        kind: str,
        number: int,
        rid: UUID | None = None,
        late: int = 0,
        exit_status: int | None = None,
    ) -> None:
        """`late`: so long ago it arrived at another process, which could not store it sooner."""
        name = self.name(number)
        arrived = self.model.now - late
        sent = signal(
            self.views[name].uuid,
            arrived / SECOND,
            SignalKind[kind.upper()],
            rid=rid,
            exit_status=exit_status,
        )
        [outcome] = self.world.record([sent], self.seconds).outcomes
        self.model.signal(name, kind, arrived, rid, exit_status)
        paused = self.model.applications[name].status == "paused"
        assert outcome.value == ("paused" if paused else "ok")

    # --- time --------------------------------------------------------------------------------

    def wait(self, span: int) -> None:
        self.pass_time(span)

    def wait_for_a_deadline(self, number: int, offset: int, detect: bool) -> None:
        self.pass_time(self.until_deadline(number) + offset)
        if detect:
            self.look()

    def detect(self) -> None:
        self.look()

    def go_away(self, span: int) -> None:
        self.restart(span)

    def go_away_over_a_deadline(self, number: int, before: int, after: int, times: int) -> None:
        for _ in range(times):
            self.pass_time(self.until_deadline(number) - before)
            self.restart(max(1, self.until_deadline(number) + after))
            self.look()

    def until_deadline(self, number: int) -> int:
        due = self.model.deadline(self.model.applications[self.name(number)])
        return 0 if due is None else max(0, due[0] - self.model.now)

    def restart(self, span: int) -> None:
        """The process is killed, or stopped in good order when it is back soon."""
        self.process.beat(self.seconds)
        if span < 4 * SECOND:
            stop_node(self.database, self.process.node, now=self.now)
        since = self.model.now
        self.held.clear()
        self.pass_time(span)
        self.process = Process(self.database)
        self.process.beat(self.seconds)
        if self.alone:
            take_back_all(self.database, now=self.now)
        self.model.restarted(since, alone=self.alone)

    def pass_time(self, span: int) -> None:
        day = self.now.date()
        self.model.now += max(0, span)
        if self.now.date() != day and not self.alone:
            make_room(self.database, now=self.now)

    def look(self) -> None:
        self.process.beat(self.seconds)
        while (due := next_check(self.database)) is not None and due <= self.now:
            self.world.detect(self.seconds)
        self.model.detect()

    # --- telling -----------------------------------------------------------------------------

    def begin_to_send(self) -> None:
        self.held += self.claim()

    def end_sending(self, number: int, outcome: str) -> None:
        if self.held:
            self.finish(self.held.pop(number % len(self.held)), outcome)

    def fail_and_recover_while_sending(self, number: int) -> None:
        self.send("fail", number)
        self.compare()
        self.begin_to_send()
        self.send("success", number)
        self.compare()
        self.begin_to_send()

    def fall_behind(self, span: int, outcome: str, late_outcome: str) -> None:
        """A sender stands still for so long that its lease runs out and another takes over."""
        stale = self.claim()
        if not stale:
            return
        self.pass_time(span)
        others = self.claim()
        for one in stale:
            self.finish(one, late_outcome)
        self.compare()
        for one in others:
            self.finish(one, outcome)

    def notice_and_tell(self, outcome: str) -> None:
        self.look()
        self.compare()
        while claimed := self.claim():
            for one in claimed:
                self.finish(one, outcome)

    def claim(self) -> list[Sending]:
        """Lease what may be sent now, one a channel; what was overtaken is cancelled on the way."""
        while any(map(self.model.may_be_claimed, self.model.deliveries)):
            claimed = self.world.claim(self.seconds)
            leased = [self.known[one.id] for one in claimed]
            cancelled = [
                self.known[id_]
                for id_, status in self.service.statuses().items()
                if status == "cancelled" != self.known[id_].status
            ]
            assert all(map(self.model.may_be_claimed, [*leased, *cancelled]))
            assert all(map(self.model.is_overtaken, cancelled))
            assert not any(map(self.model.is_overtaken, leased))
            for one in cancelled:
                self.model.claim(one)
                one.status, one.leased = "cancelled", False
            if leased:
                return [
                    Sending(lease, one, self.model.claim(one))
                    for lease, one in zip(claimed, leased, strict=True)
                ]
            assert cancelled, "what may be claimed is neither leased nor cancelled"
        assert self.world.claim(self.seconds) == []
        return []

    def finish(self, sending: Sending, outcome: str) -> None:
        self.service.plugin.outcome = outcome
        sent = deliver(self.world.sender(), sending.claimed, clock=lambda: self.now)
        record_outcomes(self.database, [sent])
        self.model.finish(sending.delivery, sending.attempt, outcome)

    # --- comparing ---------------------------------------------------------------------------

    def compare(self) -> None:
        seen = self.service.look(self.now)
        assert seen.applications == {
            name: self.expected(one) for name, one in self.model.applications.items()
        }
        self.match(seen)
        statuses = {self.known[row.id]: row.status for row in seen.deliveries}
        assert statuses == {one: one.status for one in self.model.deliveries}
        told = Counter(delivery_id for delivery_id, _ in self.service.plugin.told)
        assert told == {self.uuids[one]: one.told for one in self.model.deliveries if one.told}

    def expected(self, one: Application) -> tuple[Any, ...]:
        """Return what the model says there is to see of an application."""
        due = self.model.deadline(one)
        return (
            self.model.shown(one),
            one.last,
            one.expected(),
            None if due is None else due[0],
            one.stored,
            [(each.reason, each.opened, each.closed, each.exit_status) for each in one.incidents],
        )

    def match(self, seen: Seen) -> None:
        """Find out which delivery of the database is which of the model."""
        new = [one for one in self.model.deliveries if one not in self.uuids]
        names = {view.id: name for name, view in self.views.items()}
        for row in seen.deliveries:
            if row.id in self.known:
                continue
            outages = [one.id for one in seen.incidents if one.application_id == row.application_id]
            about = (
                row.kind,
                names[row.application_id],
                outages.index(row.incident_id),
                self.service.channels.index(row.channel_id),
            )
            found = next(
                one for one in new if (one.kind, one.application, one.number, one.channel) == about
            )
            new.remove(found)
            self.known[row.id] = found
            self.uuids[found] = row.uuid
        assert new == []


def cron(every: int | None) -> dict[str, str] | None:
    if every is None:
        return None
    minutes = every // (60 * SECOND)
    return {
        "kind": "cron",
        "expression": "0 * * * *" if minutes == 60 else f"*/{minutes} * * * *",
        "timezone": "UTC",
    }

"""A process of the service that takes heartbeats, reduced to its self-beats and three clocks."""

from datetime import timedelta
from uuid import uuid4

from heartbeat_central.domain.reception import Proven, Reading, SelfBeat, Undecided
from heartbeat_central.services.prove_reception import prove_reception
from heartbeat_central.storage.engine import Database
from tests.support.world import at


class Process:
    """Begins when it first beats."""

    def __init__(self, database: Database) -> None:
        self.node = uuid4()
        self._database = database
        self._before: Reading | None = None
        self._beaten: Reading | None = None
        self._waited: Undecided | None = None

    def beat(
        self,
        seconds: float,
        *,
        ran: float | None = None,
        slept: float = 0,
        stood_still: float = 0,
        failed: float | None = None,
    ) -> Proven | Undecided:
        """Commit a self-beat when the wall clock shows `seconds` after START.

        Since the one that was stored before, the machine `ran` that long, by default as long as the
        wall clock says less what it slept. Those in between are left out, unless it `stood_still`.
        """
        now = self._reading(seconds, ran, slept)
        self._beaten = now
        verdict = prove_reception(
            self._database,
            SelfBeat(
                node=self.node,
                now=now,
                before=self._before,
                longest_pause=timedelta(seconds=max(1, slept, stood_still)),
                failed_at=None if failed is None else at(failed),
                waited=self._waited,
            ),
        )
        if isinstance(verdict, Undecided):
            self._waited = verdict
        else:
            self._before = now
        return verdict

    def _reading(self, seconds: float, ran: float | None, slept: float) -> Reading:
        wall = at(seconds)
        if self._beaten is None:
            return Reading(at=wall, monotonic=timedelta(0), boottime=timedelta(0))
        awake = (
            wall - self._beaten.at - timedelta(seconds=slept)
            if ran is None
            else timedelta(seconds=ran)
        )
        return Reading(
            at=wall,
            monotonic=self._beaten.monotonic + awake,
            boottime=self._beaten.boottime + awake + timedelta(seconds=slept),
        )

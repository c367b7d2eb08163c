"""The handful of jobs: notice, tell, digests of storms, roll up, housekeeping."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

import structlog
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler

from heartbeat_central.domain.blind_window import BlindWindow
from heartbeat_central.domain.step_size import StepSize
from heartbeat_central.metrics import Metrics
from heartbeat_central.monitor.dispatcher import Dispatcher
from heartbeat_central.monitor.pace import PacedJob, shut_down
from heartbeat_central.services import call_watchdog
from heartbeat_central.services.call_watchdog import Watchdog
from heartbeat_central.services.deliver_alerts import Sender, take_back_all
from heartbeat_central.services.detect_missed import BATCH, detect_missed, next_check
from heartbeat_central.services.limit_sign_ins import forget_tries
from heartbeat_central.services.look_through import LookThrough
from heartbeat_central.services.manage_accounts import prune_sessions
from heartbeat_central.services.prune_history import make_room, prune_history
from heartbeat_central.services.roll_up_history import RollUp
from heartbeat_central.services.settle_clock import settle_clock
from heartbeat_central.services.tell_blind_windows import tell_blind_windows
from heartbeat_central.services.tell_dead_letters import tell_dead_letters
from heartbeat_central.services.tell_problems import tell_problems
from heartbeat_central.services.tell_storms import next_storm_digest, tell_storms
from heartbeat_central.storage.engine import Database
from heartbeat_central.storage.log_sqlite import move_log

LOOK: Mapping[str, float] = {"sqlite": 1.0, "postgresql": 0.5}
"""Seconds between two looks for what other processes have changed. On PostgreSQL those may be the ones
that record, and people then wait so much longer for their alerts."""
FOLLOW_UP = 5.0
"""Seconds between two looks for what is still to be done about blind windows."""
UNPROVEN = timedelta(milliseconds=100)
"""Until the next look at what is due while nothing proves that heartbeats could be received."""
MOVE_LOG = 2.0
"""Seconds between two looks whether SQLite's log is long, for when the last one could not move it."""
HOUSEKEEPING = timedelta(hours=1)
REST: Mapping[str, float] = {"sqlite": 3.0, "postgresql": 0.0}
"""How many times as long as a step of rolling up took the next one waits. On SQLite it shares the process,
the disk and the lock with recording, and takes a quarter of them at most however much there is to do."""
WALKING = 19.0
"""The same for a look through all applications: of a million it takes the interpreter 20 seconds at most,
a twentieth of its time for some minutes."""
SWEEP_SECONDS: Mapping[str, float] = {"sqlite": 0.02, "postgresql": 1.0}
"""How long a transaction of the detector may take. On SQLite heartbeats wait for it."""
SMALLEST_SWEEP = 20
"""Applications: with fewer the transaction itself would take longer than what is done in it."""

log = structlog.get_logger(__name__)

ProvenUntil = Callable[[datetime], datetime | None]
"""Up to when silence may be judged: the moment given, or later, if that can be proven now."""
Report = Callable[[str, datetime, str | None], None]
"""Told after every run: the job's name, when, and what went wrong (None: nothing)."""


class Monitor:
    """Notices and tells, on one scheduler with an in-memory job store."""

    def __init__(
        self,
        *,
        database: Database,
        unhurried: Database,
        sender: Sender,
        clock: Callable[[], datetime],
        proven_until: ProvenUntil,
        base_url: str,
        check_interval: float,
        retention_days: int,
        reaches_out: Callable[[], bool],
        report: Report,
        on_waiting: Callable[[datetime | None], None],
        metrics: Metrics,
        watchdog: Watchdog | None = None,
    ) -> None:
        """`unhurried` is the database for work on the history, which nobody waits for."""
        self._database = database
        self._unhurried = unhurried
        self._metrics = metrics
        self._clock = clock
        self._proven_until = proven_until
        self._base_url = base_url
        self._retention_days = retention_days
        self._reaches_out = reaches_out
        most = BATCH[database.dialect]
        self._sweep = StepSize(first=most // 2, least=SMALLEST_SWEEP, most=most)
        self._scheduler = BackgroundScheduler(
            timezone="UTC", executors={"default": ThreadPoolExecutor(6)}
        )
        longest = min(LOOK[database.dialect], check_interval)
        self._notice = PacedJob(
            self._scheduler, "notice", self._detect, longest=longest, clock=clock, report=report
        )
        self._dispatcher = Dispatcher(
            sender,
            clock=clock,
            on_ended=self.ring_tell,
            metrics=metrics,
            on_waiting=on_waiting,
        )
        self._tell = PacedJob(
            self._scheduler,
            "tell",
            self._dispatcher.dispatch,
            longest=longest,
            clock=clock,
            report=report,
        )
        self._digests = PacedJob(
            self._scheduler,
            "digests",
            self._tell_digests,
            longest=longest,
            clock=clock,
            report=report,
        )
        self._housekeeping = PacedJob(
            self._scheduler,
            "housekeeping",
            self._keep_house,
            longest=HOUSEKEEPING.total_seconds(),
            clock=clock,
            report=report,
        )
        self._history = RollUp(unhurried)
        self._following_up = PacedJob(
            self._scheduler,
            "blind-windows",
            self._follow_up,
            longest=FOLLOW_UP,
            clock=clock,
            report=report,
        )
        self._rolling_up = PacedJob(
            self._scheduler,
            "roll-up",
            self._roll_up,
            longest=HOUSEKEEPING.total_seconds(),
            clock=clock,
            report=report,
            rest=REST[database.dialect],
        )

        self._walk = LookThrough(unhurried)
        self._looking_through = PacedJob(
            self._scheduler,
            "look-through",
            self._look_through,
            longest=HOUSEKEEPING.total_seconds(),
            clock=clock,
            report=report,
            rest=WALKING,
        )

        # Digests first: what is held since before a stop then goes out in them.
        self._jobs: tuple[PacedJob, ...] = (
            self._digests,
            self._following_up,
            self._notice,
            self._tell,
            self._looking_through,
            self._rolling_up,
            self._housekeeping,
        )
        if database.dialect == "sqlite":
            moving_log = PacedJob(
                self._scheduler,
                "log",
                self._move_log,
                longest=MOVE_LOG,
                clock=clock,
                report=report,
            )
            database.log.when_long(moving_log.ring)
            self._jobs += (moving_log,)
        if watchdog is not None:
            self._watchdog = watchdog
            self._jobs += (
                PacedJob(
                    self._scheduler,
                    "watchdog",
                    self._call_watchdog,
                    longest=call_watchdog.PERIOD.total_seconds(),
                    clock=clock,
                    report=report,
                ),
            )

    def start(self) -> None:
        """Begin to notice and to tell. Raises StorageUnavailable."""
        if self._database.dialect == "sqlite":
            # The one process that may send is this one: what another had begun, it will not end.
            interrupted = take_back_all(self._database, now=self._clock())
            if interrupted:
                log.info("deliveries_taken_back", count=interrupted)
        for job in self._jobs:
            job.start()
        self._scheduler.start()

    def ring(self) -> None:
        """A deadline moved earlier or a delivery was added: look now."""
        self._notice.ring()
        self._tell.ring()

    def noticed(self, window: BlindWindow | None) -> None:
        """A blind window has ended, or the first proof is there (None): now silence can be judged."""
        if window is not None and window.cause.moved_clock:
            # What a job waits for may be hours away by the clock as it is now.
            for job in self._jobs:
                job.ring()
        else:
            self.ring()

    def ring_tell(self) -> None:
        """A delivery was added, or a sender became free."""
        self._tell.ring()

    def begin_to_stop(self) -> None:
        """Send nothing more; the requests that are still answered are noticed and told of later."""
        self._dispatcher.begin_to_stop()

    def stop(self) -> None:
        """End the running jobs and let what is being sent end."""
        shut_down(self._scheduler, self._jobs)
        self._dispatcher.stop()

    def _detect(self) -> datetime | None:
        # One look at an index while nothing is due; no write transaction, so no disk is touched.
        earliest = next_check(self._database)
        while earliest is not None and earliest <= self._clock():
            proven = self._proven_until(earliest)
            if proven is None or proven < earliest:
                # Silence that nobody could have broken is no evidence. Ask again in a moment.
                return self._clock() + UNPROVEN
            most = self._sweep.rows
            swept = detect_missed(self._database, now=proven, base_url=self._base_url, most=most)
            allowed = SWEEP_SECONDS[self._database.dialect]
            self._sweep.took(swept.held, of=allowed, rows=swept.judged)
            now = self._clock()
            self._metrics.noticed((now - one).total_seconds() for one in swept.deadlines)
            if swept.alerts_added:
                self._tell.ring()
            if not swept.more:
                return swept.next_check_at
        return earliest

    def _tell_digests(self) -> datetime | None:
        # A job of its own: asking whether this node reaches out may take seconds.
        added = tell_dead_letters(self._database, now=self._clock(), base_url=self._base_url)
        added += tell_problems(self._database, now=self._clock(), base_url=self._base_url)
        added += tell_storms(
            self._database,
            now=self._clock(),
            base_url=self._base_url,
            reaches_out=self._reaches_out,
        )
        if added:
            self._tell.ring()
        return next_storm_digest(self._database)

    def _follow_up(self) -> datetime | None:
        now = self._clock()
        if settle_clock(self._database, now=now):
            self.ring()
        if tell_blind_windows(self._database, now=now, base_url=self._base_url):
            self._tell.ring()
        return None

    def _keep_house(self) -> datetime | None:
        now = self._clock()
        make_room(self._unhurried, now=now)
        pruned = prune_history(self._unhurried, now=now, keep_days=self._retention_days)
        prune_sessions(self._unhurried, now=now)
        forget_tries(self._unhurried, now=now)
        return self._clock() if pruned.more else None

    def _call_watchdog(self) -> datetime:
        return self._clock() + self._watchdog.call()

    def _look_through(self) -> datetime:
        looked = self._walk.step(now=self._clock())
        if looked.found:
            self._notice.ring()
        return looked.next_at

    def _move_log(self) -> None:
        move_log(self._database)

    def _roll_up(self) -> datetime:
        return self._history.step(now=self._clock())

"""Line 1, record: what only says "still here" is stored at once, the rest is judged under a lock."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from uuid import UUID

import structlog

from heartbeat_central.domain.errors import StorageUnavailable
from heartbeat_central.domain.signal import Signal, SignalKind
from heartbeat_central.domain.state import State, Status, is_steady
from heartbeat_central.services.record_signals import Outcome, Recorded, record_signals
from heartbeat_central.storage.engine import Database
from heartbeat_central.storage.touches import Touch, Touches, TouchStore

MOST_REMEMBERED = 1_000_000
"""Applications, at about 250 bytes each; beyond that all are forgotten and learned anew."""

log = structlog.get_logger(__name__)


class Recorder:
    """Records batches. Used by one thread at a time.

    It remembers which applications were steady or paused when last seen. That may be out of date, and
    then costs a second look: the statement that stores touches holds only for what is still so.
    """

    def __init__(self, database: Database, touches: TouchStore, *, base_url: str) -> None:
        self._database = database
        self._touches = touches
        self._base_url = base_url
        self._known: dict[UUID, int] = {}
        """The ids of steady and paused applications."""
        self._paused: set[int] = set()

    def record(self, signals: Sequence[Signal], *, now: datetime) -> Recorded:
        """Store `signals`, given in the order they arrived.

        When this returns, everything it reports as stored is committed. Raises StorageUnavailable when
        the database can't take it.
        """
        outcomes = self._touch(signals)
        judged = [one for one, outcome in zip(signals, outcomes, strict=True) if outcome is None]
        wake = False
        if judged:
            recorded = record_signals(self._database, judged, now=now, base_url=self._base_url)
            self._relearn(judged, recorded.states)
            rest = iter(recorded.outcomes)
            outcomes = [next(rest) if outcome is None else outcome for outcome in outcomes]
            wake = recorded.wake
        return Recorded([outcome for outcome in outcomes if outcome is not None], wake)

    def _touch(self, signals: Sequence[Signal]) -> list[Outcome | None]:
        """Store what touches an application; return None for every signal that must be judged."""
        ids = self._plain_ids(signals)
        heard: dict[int, datetime | None] = {}
        rows: list[tuple[int, Signal]] = []
        for id_, signal in zip(ids, signals, strict=True):
            if id_ is None:
                continue
            rows.append((id_, signal))
            if signal.kind is SignalKind.SUCCESS and id_ not in self._paused:
                before = heard.get(id_)
                if before is None or before < signal.received_at:
                    heard[id_] = signal.received_at
            else:
                heard.setdefault(id_, None)
        lost: Collection[int] = ()
        if rows:
            touches = [Touch(one, one in self._paused, heard[one]) for one in sorted(heard)]
            lost = self._store(Touches(touches, rows))
        return [None if id_ is None or id_ in lost else self._outcome(id_) for id_ in ids]

    def _plain_ids(self, signals: Sequence[Signal]) -> list[int | None]:
        known, paused = self._known, self._paused
        unknown = {
            signal.uuid
            for signal in signals
            if signal.kind is SignalKind.SUCCESS and signal.uuid not in known
        }
        if unknown:
            self._learn(self._touches.find(unknown))
        ids: list[int | None] = []
        judged: set[UUID] = set()
        for signal in signals:
            id_ = known.get(signal.uuid)
            if id_ is not None and (signal.kind is SignalKind.SUCCESS or id_ in paused):
                # What follows a signal that is judged must be judged after it.
                ids.append(None if signal.uuid in judged else id_)
            else:
                judged.add(signal.uuid)
                ids.append(None)
        return ids

    def _store(self, touches: Touches) -> Collection[int]:
        try:
            return self._touches.store(touches)
        except StorageUnavailable:
            raise
        except Exception:
            # One signal that the database refuses, or a connection that broke: judged under a lock, each
            # is stored or refused for itself. What had been stored already stands in the history twice.
            log.exception("touches_refused", count=len(touches.signals))
            return {one.application_id for one in touches.applications}

    def _outcome(self, application_id: int) -> Outcome:
        return Outcome.PAUSED if application_id in self._paused else Outcome.STORED

    def _relearn(self, signals: Sequence[Signal], states: Mapping[UUID, tuple[int, State]]) -> None:
        for uuid in {signal.uuid for signal in signals}:
            forgotten = self._known.pop(uuid, None)
            if forgotten is not None:
                self._paused.discard(forgotten)
        self._learn(
            {
                uuid: (id_, state.status is Status.PAUSED)
                for uuid, (id_, state) in states.items()
                if state.status is Status.PAUSED or is_steady(state)
            }
        )

    def _learn(self, found: Mapping[UUID, tuple[int, bool]]) -> None:
        if len(self._known) + len(found) > MOST_REMEMBERED:
            self._known.clear()
            self._paused.clear()
        for uuid, (id_, is_paused) in found.items():
            self._known[uuid] = id_
            if is_paused:
                self._paused.add(id_)

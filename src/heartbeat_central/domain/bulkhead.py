"""How many deliveries of one channel may be under way, so that a hanging receiver delays no other.

A channel starts with one. Each success allows one more, so that a healthy receiver soon gets its
alerts in parallel; a temporary failure takes it back to one (slow start, RFC 5681). A receiver that
says when to come again is left alone until then, by all that waits for it.
"""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta

MOST = 128
"""Under way at once for one channel, however healthy."""
LONGEST_QUIET = timedelta(minutes=1)
"""How long one answer can silence a channel: another alert may fare better. The delivery that was
answered so waits for as long as it was told."""
FORGET_ABOVE = 10_000
"""Channels to remember; beyond that all start afresh, which costs a few slow sends."""


class Bulkheads:
    """Counts what is under way per channel. Not thread-safe: the caller holds a lock."""

    def __init__(self) -> None:
        self._allowed: dict[int, int] = {}
        self._under_way: Counter[int] = Counter()
        self._quiet: dict[int, datetime] = {}

    def copy(self) -> "Bulkheads":
        """Return another that counts the same, and goes its own way from here."""
        other = Bulkheads()
        other._allowed = dict(self._allowed)
        other._under_way = Counter(self._under_way)
        other._quiet = dict(self._quiet)
        return other

    def allowance(self, channel_id: int) -> int:
        """Return how many more may start now."""
        return self._allowed.get(channel_id, 1) - self._under_way[channel_id]

    def full(self, now: datetime) -> list[int]:
        """Return the channels that may start none at `now`."""
        busy = {channel for channel in self._under_way if self.allowance(channel) <= 0}
        quiet = {channel for channel, until in self._quiet.items() if now < until}
        return sorted(busy | quiet)

    def quiet_until(self, now: datetime) -> datetime | None:
        """Return when the first of the channels that are left alone may be tried again."""
        return min((until for until in self._quiet.values() if now < until), default=None)

    def choose(self, candidates: Iterable[tuple[int, int]], *, most: int) -> list[int]:
        """Return up to `most` of the candidates (delivery id, channel id) that may start now."""
        taken: Counter[int] = Counter()
        chosen: list[int] = []
        for delivery_id, channel_id in candidates:
            if len(chosen) >= most:
                break
            if taken[channel_id] < self.allowance(channel_id):
                taken[channel_id] += 1
                chosen.append(delivery_id)
        return chosen

    def started(self, channel_id: int) -> None:
        """Note that a delivery is under way."""
        self._under_way[channel_id] += 1

    def ended(self, channel_id: int, *, well: bool, quiet_until: datetime | None = None) -> None:
        """Note that a delivery ended, well or badly; `quiet_until` is when the receiver will listen."""
        self._under_way[channel_id] -= 1
        if self._under_way[channel_id] <= 0:
            del self._under_way[channel_id]
        if len(self._allowed) > FORGET_ABOVE:
            self._allowed.clear()
            self._quiet.clear()
        if quiet_until is not None:
            self._quiet[channel_id] = max(quiet_until, self._quiet.get(channel_id, quiet_until))
        if well:
            self._quiet.pop(channel_id, None)
            self._allowed[channel_id] = min(self._allowed.get(channel_id, 1) + 1, MOST)
        else:
            self._allowed.pop(channel_id, None)

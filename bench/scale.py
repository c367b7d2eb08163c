"""How much is measured: enough to see a regression by default, all that the budgets ask with --full."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """Sizes and times of one run."""

    name: str
    rounds: int
    """Each figure is the median of so many; the things compared take turns within a round."""
    seconds: int
    """Of load per round."""
    slow_rounds: int
    """Of what takes long by its nature: waiting for deadlines, receivers, starts."""
    many_applications: int
    history_rows: int
    """PostgreSQL."""
    history_rows_sqlite: int
    reading_history: int
    """Heartbeats of the one application whose page is read."""


QUICK = Scale(
    name="quick",
    rounds=1,
    seconds=1,
    slow_rounds=1,
    many_applications=20_000,
    history_rows=100_000,
    history_rows_sqlite=100_000,
    reading_history=20_000,
)
DEFAULT = Scale(
    name="default",
    rounds=3,
    seconds=1,
    slow_rounds=1,
    many_applications=100_000,
    history_rows=1_000_000,
    history_rows_sqlite=500_000,
    reading_history=100_000,
)
FULL = Scale(
    name="full",
    rounds=5,
    seconds=6,
    slow_rounds=3,
    many_applications=1_000_000,
    history_rows=50_000_000,
    history_rows_sqlite=5_000_000,
    reading_history=1_000_000,
)
APPLICATIONS = 10_000
"""Of the budgets; the same at every scale."""
ALERTS = 1_000

"""Whatever happens in whatever order, the service does what the reference model says.

Everything from the recorder to the destination is real, on a real database. Only time is given, so that
a run of weeks takes a tenth of a second.
"""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from heartbeat_central.storage import migrate
from heartbeat_central.storage.engine import Database, open_database
from tests.faults.comparison import Comparison
from tests.faults.subject import Subject
from tests.support.world import on_postgresql

MEMORY = Path("/dev/shm")
SHORT: dict[str, Any] = {"steps": 15, "phases": [Phase.generate]}
"""A difference is shown as it was found."""
LONG: dict[str, Any] = {"steps": 30, "phases": [Phase.generate, Phase.shrink]}
"""What leads to a difference is cut down to what is needed, which may take minutes."""


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """What the service logs in thousands of runs would fill the memory of the one that reports them."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger("error"))
    yield
    structlog.configure(**before)


@contextmanager
def quick_database() -> Iterator[Database]:
    """Yield a SQLite database in memory where there is room for files: no run asks what a disk keeps."""
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        database = open_database(f"sqlite:///{folder}/heartbeat.sqlite3")
        migrate.upgrade(database)
        try:
            yield database
        finally:
            database.close()


def compare(database: Database, *, runs: int, steps: int, phases: Sequence[Phase]) -> None:
    service = Subject(database)
    try:
        run_state_machine_as_test(
            lambda: Comparison(service),  # type: ignore[arg-type]  # as good as a class
            settings=settings(
                max_examples=runs,
                stateful_step_count=steps,
                deadline=None,
                database=None,
                report_multiple_bugs=False,
                phases=phases,
                suppress_health_check=list(HealthCheck),
            ),
        )
    finally:
        service.world.close()


@pytest.mark.timeout(400)
def test_two_hundred_runs_without_a_difference() -> None:
    with quick_database() as database:
        compare(database, runs=200, **SHORT)


@on_postgresql
def test_ten_runs_without_a_difference_on_postgresql(database: Database) -> None:
    compare(database, runs=10, **SHORT)


@pytest.mark.soak
def test_ten_thousand_runs_without_a_difference() -> None:
    with quick_database() as database:
        compare(database, runs=10_000, **LONG)


@pytest.mark.soak
@on_postgresql
def test_a_thousand_runs_without_a_difference_on_postgresql(database: Database) -> None:
    compare(database, runs=1_000, **LONG)

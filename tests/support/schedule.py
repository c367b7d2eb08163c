"""The order in which a run of everything begins its files: those that take long before the others.

`make test` gives each worker the next file when it has done one. What begins last should be short, or one
worker is still at it while the others have nothing left to do.
"""

from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]

LONG_FIRST = (
    "faults/test_reference_model.py",
    "faults/test_bad_data.py",
    "faults/test_crash_at_each_step.py",
    "faults/test_watchdog.py",
    "integration/test_fresh_clone.py",
    "web/browser/test_works.py",
    "web/browser/test_looks.py",
    "integration/cli/test_demo.py",
    "faults/test_storms.py",
    "faults/test_whole_service.py",
    "faults/test_own_interruptions.py",
    "integration/cli/test_workers.py",
    "integration/services/test_own_interruptions.py",
    "faults/test_several_nodes.py",
    "integration/services/test_storms.py",
    "integration/cli/test_serve.py",
    "integration/api/test_fuzz.py",
    "web/test_hostile.py",
    "integration/monitor/test_dispatcher.py",
    "faults/test_migrations_under_load.py",
    "faults/test_crashes_under_load.py",
    "integration/services/test_roll_up_history.py",
    "integration/services/test_dead_letters.py",
    "integration/backup/test_restore.py",
    "e2e/test_main_job.py",
    "integration/cli/test_doctor.py",
    "faults/test_postgresql_away.py",
    "integration/test_metrics_events.py",
    "faults/test_clocks.py",
    "integration/ingest/test_edge.py",
)
"""Files that take more than about ten seconds on two cores, roughly by how long."""


def long_first(items: list[pytest.Item]) -> None:
    """Sort tests by their files; within a file, and among all other files, the order stays."""
    places = {TESTS / name: place for place, name in enumerate(LONG_FIRST)}
    items.sort(key=lambda item: places.get(item.path, len(places)))

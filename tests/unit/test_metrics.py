"""What is counted, and that the counts of several processes add up."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from heartbeat_central.metrics import Figure, Metrics, Shared, forget
from tests.support.samples import samples, value

SOURCES = Path(__file__).parents[2] / "src"

WORKER = """
import json, pathlib, sys
from heartbeat_central.metrics import Metrics, Shared

folder, worker, calls = sys.argv[1:]
metrics = Metrics(Shared(pathlib.Path(folder), int(worker)))
for name, given, named in json.loads(calls):
    getattr(metrics, name)(*given, **named)
sys.stdout.buffer.write(metrics.as_text())
"""


Call = tuple[str, list[Any], dict[str, Any]]


def worker(folder: Path, number: int, *calls: Call) -> bytes:
    """Return what a worker tells after these calls; it has ended then, as by kill -9."""
    done = subprocess.run(
        [sys.executable, "-c", WORKER, str(folder), str(number), json.dumps(calls)],
        env={"PYTHONPATH": str(SOURCES)},
        capture_output=True,
        check=True,
    )
    return done.stdout


def test_counts_a_batch() -> None:
    metrics = Metrics()
    metrics.committed({"stored": 30, "unknown": 2}, seconds=0.003)
    metrics.committed({"stored": 1}, seconds=0.2)
    metrics.refused(3)
    metrics.waiting(7)
    text = metrics.as_text()
    assert value(text, "heartbeats_total", outcome="stored") == 31
    assert value(text, "heartbeats_total", outcome="unknown") == 2
    assert value(text, "heartbeats_total", outcome="refused") == 3
    assert value(text, "batch_size_bucket", le="50.0") == 2
    assert value(text, "batch_size_sum") == 33
    assert value(text, "commit_seconds_bucket", le="0.005") == 1
    assert value(text, "queue_depth") == 7


def test_a_series_is_there_before_its_first_event() -> None:
    text = Metrics().as_text()
    for outcome in ("stored", "paused", "unknown", "failed", "refused"):
        assert value(text, "heartbeats_total", outcome=outcome) == 0


def test_counts_what_is_noticed_and_told() -> None:
    metrics = Metrics()
    metrics.noticed([0.1, 0.3])
    metrics.attempted("slack", "retry", seconds=9)
    metrics.attempted("slack", "delivered", seconds=0.1)
    metrics.delivered("slack", latency=70)
    text = metrics.as_text()
    assert value(text, "detection_latency_seconds_count") == 2
    assert value(text, "delivery_attempts_total", plugin="slack", outcome="retry") == 1
    assert value(text, "delivery_attempt_seconds_count", plugin="slack") == 2
    assert value(text, "delivery_latency_seconds_bucket", plugin="slack", le="60.0") == 0
    assert value(text, "delivery_latency_seconds_sum", plugin="slack") == 70


def test_tells_figures_as_they_are() -> None:
    figures = [
        Figure("heartbeat_central_open_incidents", "Open incidents", {"": 4}),
        Figure("heartbeat_central_applications", "…", {"up": 3, "down": 1}, label="status"),
    ]
    text = Metrics().as_text(figures)
    assert value(text, "open_incidents") == 4
    assert value(text, "applications", status="down") == 1


def test_two_services_in_one_process_count_apart() -> None:
    first, second = Metrics(), Metrics()
    first.refused(1)
    assert value(second.as_text(), "heartbeats_total", outcome="refused") == 0


def test_workers_add_up_and_a_restart_forgets_nothing(tmp_path: Path) -> None:
    batch: Call = ("committed", [{"stored": 10}], {"seconds": 0.01})
    five_wait: Call = ("waiting", [5], {})
    worker(tmp_path, 1, batch, batch, five_wait)
    text = worker(tmp_path, 2, batch, five_wait, ("attempted", ["slack", "dead"], {"seconds": 1}))
    assert value(text, "heartbeats_total", outcome="stored") == 30
    assert value(text, "batch_size_count") == 3
    assert value(text, "delivery_attempts_total", plugin="slack", outcome="dead") == 1
    assert value(text, "queue_depth") == 10

    # The supervisor, when the first has ended: nothing waits there any more.
    forget(Shared(tmp_path, 1))
    text = worker(tmp_path, 1, ("refused", [2], {}))
    assert value(text, "heartbeats_total", outcome="stored") == 30
    assert value(text, "heartbeats_total", outcome="refused") == 2
    assert value(text, "queue_depth") == 5


def test_a_worker_that_dies_again_and_again_leaves_no_more_files(tmp_path: Path) -> None:
    worker(tmp_path, 1)
    files = sorted(tmp_path.iterdir())
    worker(tmp_path, 1)
    assert sorted(tmp_path.iterdir()) == files


def test_one_process_and_several_tell_the_same_series(tmp_path: Path) -> None:
    ours = set(samples(Metrics().as_text()))
    assert set(samples(worker(tmp_path, 1))) == ours

"""What the processes of this service count, in the form that Prometheus reads.

A `Metrics` is built by wiring and handed to those who count. docs/reference/metrics.md explains each
name. Figures that are read from the database, such as how many applications are down, are no business
of one process: they are added when somebody asks, once, whatever the number of processes.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
    values,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from heartbeat_central import __version__

FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""Where prometheus-client looks for the folder; nothing else of it is read from the environment."""

HEARTBEAT_OUTCOMES = ("stored", "paused", "unknown", "failed", "refused")
"""`unknown`: no such application. `refused`: answered with 503, nothing is stored."""
BATCH_SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
COMMIT_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)
LATENCY_SECONDS = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 300, 3600, 86400)
ATTEMPT_SECONDS = (0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)


@dataclass(frozen=True, slots=True)
class Shared:
    """The folder in which the workers of one service add up their counts."""

    folder: Path
    worker: int
    """Its number: a worker that is started again under it goes on counting where the last one was."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A number of the whole service as it is now."""

    name: str
    help: str
    values: Mapping[str, float]
    """By the value of `label`; without a label, one number under the empty text."""
    label: str = field(default="")


class Metrics:
    """Counts what this process does. Thread-safe; each call costs microseconds.

    With `shared`, the counts of all workers add up in every worker's answer.
    """

    def __init__(self, shared: Shared | None = None) -> None:
        # prometheus-client has globals of its own for where it counts: set before the first counter.
        if shared is None:
            values.ValueClass = values.MutexValue
        else:
            os.environ[FOLDER_VARIABLE] = str(shared.folder)
            values.ValueClass = values.MultiProcessValue(lambda: shared.worker)
        # Twice as many series, which tell when this process started; workers have none of them.
        disable_created_metrics()
        self._shared = shared
        self._registry = registry = CollectorRegistry()
        self._heartbeats = Counter(
            "heartbeat_central_heartbeats",
            "Heartbeats that were to be stored, by what became of them",
            ["outcome"],
            registry=registry,
        )
        self._batch_size = Histogram(
            "heartbeat_central_batch_size",
            "Heartbeats that shared a transaction",
            buckets=BATCH_SIZES,
            registry=registry,
        )
        self._commit = Histogram(
            "heartbeat_central_commit_seconds",
            "Time that the transaction of a batch took, its commit included",
            buckets=COMMIT_SECONDS,
            registry=registry,
        )
        self._queue = Gauge(
            "heartbeat_central_queue_depth",
            "Heartbeats that waited when the last batch was committed",
            multiprocess_mode="livesum",
            registry=registry,
        )
        self._detection = Histogram(
            "heartbeat_central_detection_latency_seconds",
            "Time from a deadline to the committed incident",
            buckets=LATENCY_SECONDS,
            registry=registry,
        )
        self._attempts = Counter(
            "heartbeat_central_delivery_attempts",
            "Attempts to deliver an alert, by plugin and what came of it",
            ["plugin", "outcome"],
            registry=registry,
        )
        self._attempt_seconds = Histogram(
            "heartbeat_central_delivery_attempt_seconds",
            "Time that an attempt to deliver took",
            ["plugin"],
            buckets=ATTEMPT_SECONDS,
            registry=registry,
        )
        self._delivery = Histogram(
            "heartbeat_central_delivery_latency_seconds",
            "Time from the decision to alert to the receiver's confirmation",
            ["plugin"],
            buckets=LATENCY_SECONDS,
            registry=registry,
        )
        # A series that appears only with its first event hides that event from rate().
        for outcome in HEARTBEAT_OUTCOMES:
            self._heartbeats.labels(outcome)

    def committed(self, outcomes: Mapping[str, int], *, seconds: float) -> None:
        """Count a batch: its heartbeats by outcome, and the time of its transaction."""
        for outcome, count in outcomes.items():
            self._heartbeats.labels(outcome).inc(count)
        self._batch_size.observe(sum(outcomes.values()))
        self._commit.observe(seconds)

    def waiting(self, count: int) -> None:
        """Note how many wait now to be stored."""
        self._queue.set(count)

    def refused(self, count: int) -> None:
        """Count heartbeats that were answered with 503."""
        self._heartbeats.labels("refused").inc(count)

    def noticed(self, latencies: Iterable[float]) -> None:
        """Count incidents that the detector opened, so many seconds after their deadlines."""
        for seconds in latencies:
            self._detection.observe(seconds)

    def attempted(self, plugin: str, outcome: str, *, seconds: float) -> None:
        """Count an attempt to deliver, and how long it took."""
        self._attempts.labels(plugin, outcome).inc()
        self._attempt_seconds.labels(plugin).observe(seconds)

    def delivered(self, plugin: str, *, latency: float) -> None:
        """Count a delivery, so many seconds after it was decided to tell."""
        self._delivery.labels(plugin).observe(latency)

    def as_text(self, figures: Iterable[Figure] = ()) -> bytes:
        """Return all that was counted, by every worker, and `figures`, as Prometheus reads it."""
        found = CollectorRegistry(auto_describe=False)
        if self._shared is None:
            found.register(self._registry)
        else:
            MultiProcessCollector(found, path=str(self._shared.folder))
        found.register(_Figures(figures))
        return generate_latest(found)


class _Figures:
    """Gives figures to prometheus-client."""

    def __init__(self, figures: Iterable[Figure]) -> None:
        self._figures = figures

    def collect(self) -> Iterator[GaugeMetricFamily]:
        build = GaugeMetricFamily(
            "heartbeat_central_build_info", "1; the label names the version", labels=["version"]
        )
        build.add_metric([__version__], 1)
        yield build
        for figure in self._figures:
            labels = [figure.label] if figure.label else []
            family = GaugeMetricFamily(figure.name, figure.help, labels=labels)
            for value, number in figure.values.items():
                family.add_metric([value] if labels else [], number)
            yield family


def forget(shared: Shared) -> None:
    """Drop what a worker that has ended had as it was at the moment; what it counted stays."""
    mark_process_dead(shared.worker, path=str(shared.folder))

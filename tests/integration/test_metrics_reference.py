"""docs/reference/metrics.md tells of every metric, and the dashboard uses only what there is."""

import json
import re
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from heartbeat_central.metrics import Metrics
from heartbeat_central.services.count_all import count_all
from tests.support.world import START, World

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/reference/metrics.md").read_text(encoding="utf-8")
DASHBOARD = ROOT / "deploy/grafana/heartbeat-central.json"

Described = dict[str, tuple[str, frozenset[str]]]
"""Kind and labels of each metric, by its name."""


def documented() -> Described:
    rows = re.findall(r"^\| `(heartbeat_central_\w+)` \| (\w+) \| (.*?) ?\|", PAGE, re.M)
    return {name: (kind, frozenset(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}


def told(world: World) -> Described:
    """Return what a process tells that has done everything at least once."""
    metrics = Metrics()
    metrics.committed({"stored": 1}, seconds=0.1)
    metrics.noticed([0.1])
    metrics.attempted("slack", "delivered", seconds=0.1)
    metrics.delivered("slack", latency=0.1)
    text = metrics.as_text(count_all(world.database, now=START)).decode()
    found = {}
    for family in text_string_to_metric_families(text):
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        found[name] = (family.type, frozenset(labels))
    return found


def test_every_metric_is_documented_with_its_labels_and_no_other(world: World) -> None:
    assert documented() == told(world)


def test_names_follow_the_conventions() -> None:
    for name, (kind, _) in documented().items():
        assert name.endswith("_total") == (kind == "counter"), name
        assert ("latency" in name or "age" in name or "lag" in name) <= name.endswith("_seconds")


def expressions(node: Any) -> list[str]:
    """Return every text of the dashboard in which a metric may be named."""
    if isinstance(node, dict):
        return [one for value in node.values() for one in expressions(value)]
    if isinstance(node, list):
        return [one for value in node for one in expressions(value)]
    return [node] if isinstance(node, str) and "heartbeat_central_" in node else []


def test_the_dashboard_uses_only_what_there_is() -> None:
    series = set()
    for name, (kind, _) in documented().items():
        parts = ("_bucket", "_sum", "_count") if kind == "histogram" else ("",)
        series |= {name + part for part in parts}
    queries = expressions(json.loads(DASHBOARD.read_text(encoding="utf-8")))
    used = set(re.findall(r"heartbeat_central_\w+", " ".join(queries)))
    assert used <= series
    # Whatever is counted can be seen.
    assert {re.sub("_(bucket|sum|count)$", "", one) for one in used} == set(documented())


def test_the_dashboard_asks_for_labels_that_there_are() -> None:
    labels = {"job", "instance", "le"}.union(*(known for _, known in documented().values()))
    for query in expressions(json.loads(DASHBOARD.read_text(encoding="utf-8"))):
        grouped = re.findall(r"by \(([\w, ]+)\)", query)
        matched = re.findall(r"[{,](\w+)=", query)
        assert {one.strip() for group in grouped for one in group.split(",")} <= labels
        assert set(matched) <= labels


def test_the_examples_name_what_there_is() -> None:
    watch = PAGE.partition("## What to watch")[2]
    named = {
        re.sub("_(bucket|sum|count)$", "", name)
        for name in re.findall(r"heartbeat_central_\w+", watch)
    }
    assert named <= set(documented())
    assert named

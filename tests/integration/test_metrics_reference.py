"""docs/reference/metrics.md tells of every metric; the dashboard uses only what there is, as what it is."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from heartbeat_central.domain.state import Status
from heartbeat_central.metrics import HEARTBEAT_OUTCOMES, Metrics
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


QUERIES = expressions(json.loads(DASHBOARD.read_text(encoding="utf-8")))
ALARMS = [
    one.replace("\\|", "|")
    for one in re.findall(
        r"^\| `(.*heartbeat_central_.*?)` \|", PAGE.partition("## What to watch")[2], re.M
    )
]
LABEL_VALUES = {
    "status": {status.value for status in Status} | {"pending", "dead"},
    ("heartbeats_total", "outcome"): set(HEARTBEAT_OUTCOMES),
    ("delivery_attempts_total", "outcome"): {"delivered", "retry", "dead"},
}
OF_THE_SCRAPE = {"job", "instance"}
OF_THE_DATABASE = set(
    re.findall(
        r"^\| `(heartbeat_central_\w+)`", PAGE.partition("## What the database knows")[2], re.M
    )
)


def base(name: str) -> str:
    """Return the metric that a series belongs to."""
    return re.sub("_(bucket|sum|count)$", "", name)


@dataclass(frozen=True)
class Selector:
    """A series in an expression, with the functions around it, the innermost first."""

    name: str
    matchers: dict[str, str]
    over_time: bool
    around: list[str]

    @classmethod
    def all_in(cls, query: str) -> "list[Selector]":
        found = []
        for match in re.finditer(r"(heartbeat_central_\w+)(?:\{(.*?)\})?(\[[^]]+\])?", query):
            around, depth = [], 0
            for place in range(match.start() - 1, -1, -1):
                depth += {")": 1, "(": -1}.get(query[place], 0)
                if depth < 0:
                    before = re.search(r"(\w+)(?: by \([\w, ]+\) ?)?$", query[:place].rstrip())
                    around.append(before[1] if before else "")
                    depth = 0
            matchers = dict(re.findall(r'(\w+)=~?"([^"]*)"', match[2] or ""))
            found.append(cls(match[1], matchers, match[3] is not None, around))
        return found


def test_expressions_are_understood() -> None:
    """Or what follows would look at nothing."""
    [one] = Selector.all_in(
        'histogram_quantile(0.5, sum by (le) (rate(heartbeat_central_x_bucket{a="b"}[5m])))'
    )
    assert one.around == ["rate", "sum", "histogram_quantile"]
    assert (one.matchers, one.over_time) == ({"a": "b"}, True)
    assert len(QUERIES) > 20
    assert len(ALARMS) > 4


@pytest.mark.parametrize("query", [*QUERIES, *ALARMS])
def test_an_expression_fits_the_kinds_and_labels_of_what_it_names(query: str) -> None:
    known = documented()
    selectors = Selector.all_in(query)
    assert selectors
    for one in selectors:
        kind, labels = known[base(one.name) if base(one.name) in known else one.name]
        part = one.name.removeprefix(base(one.name))
        assert (part != "") == (kind == "histogram"), one
        if one.around[0] == "label_values":
            continue
        # What only ever grows is looked at by how fast it does; what is as it is, as it is.
        grows = kind in ("counter", "histogram")
        assert (one.around[0] in ("rate", "increase")) == one.over_time == grows, one
        assert ("histogram_quantile" in one.around) == (part == "_bucket"), one
        if one.name in OF_THE_DATABASE:
            # The same whoever tells them.
            assert one.around == ["max"], one
        assert set(one.matchers) <= labels | OF_THE_SCRAPE, one
        for label, asked in one.matchers.items():
            if label in labels:
                exist = (
                    LABEL_VALUES.get((one.name.removeprefix("heartbeat_central_"), label))
                    or LABEL_VALUES[label]
                )
                assert set(asked.split("|")) <= exist, one
        groups = [set(re.split(", ?", group)) for group in re.findall(r"by \(([\w, ]+)\)", query)]
        if part == "_bucket":
            labels |= {"le"}
            assert all("le" in group for group in groups), one
        assert all(group <= labels | OF_THE_SCRAPE for group in groups), one


def test_the_dashboard_shows_whatever_is_counted() -> None:
    used = {base(name) for name in re.findall(r"heartbeat_central_\w+", " ".join(QUERIES))}
    assert used == {base(name) for name in documented()}

"""Results: kept as JSON by topic, shown as RESULTS.md. A run of some topics leaves the others' alone."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
JSON_FILE = HERE / "results.json"
MARKDOWN_FILE = HERE / "RESULTS.md"


@dataclass
class Budget:
    """One line of the design's table of budgets."""

    what: str
    budget: str
    measured: str
    met: bool


@dataclass
class Table:
    """Figures; each row begins with its label."""

    title: str
    header: list[str]
    rows: list[list[str]] = field(default_factory=list)
    note: str = ""


@dataclass
class Topic:
    """What one topic found."""

    title: str
    how: str
    """What was measured and against what, in a paragraph."""
    tables: list[Table] = field(default_factory=list)
    budgets: list[Budget] = field(default_factory=list)


def save(name: str, topic: Topic, *, about: dict[str, Any]) -> None:
    """Store a topic's results; `about` tells when, where and at which scale they were measured."""
    results = _load()
    results[name] = {"about": about, **asdict(topic)}
    JSON_FILE.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")


def write_markdown(order: list[str]) -> None:
    """Write RESULTS.md from all stored topics, in this order."""
    results = _load()
    stored = [(name, results[name]) for name in order if name in results]
    parts = [_INTRODUCTION, _budgets(stored)]
    parts += [_topic(topic) for _, topic in stored]
    MARKDOWN_FILE.write_text("\n\n".join(parts) + "\n")


def show(topic: Topic) -> str:
    """Return a topic as Markdown, for the terminal."""
    return _topic({"about": None, **asdict(topic)})


_INTRODUCTION = """# Results

Written by `make bench`; don't edit. What each figure means and how to measure again is in
[README.md](README.md). Every figure is the median of its rounds, and everything that is compared ran
in turns within the same rounds, on one machine that also ran the load and the databases. A figure for
another machine differs; the ratios should not differ much."""


def _load() -> dict[str, Any]:
    if not JSON_FILE.exists():
        return {}
    loaded: dict[str, Any] = json.loads(JSON_FILE.read_text())
    return loaded


def _budgets(stored: list[tuple[str, dict[str, Any]]]) -> str:
    rows = [
        [
            line["what"],
            line["budget"],
            line["measured"],
            "met" if line["met"] else "**not met**",
        ]
        for _, topic in stored
        for line in topic["budgets"]
    ]
    table = Table("", ["what", "budget", "measured", ""], rows)
    return "## Budgets\n\n" + _grid(asdict(table))


def _topic(topic: dict[str, Any]) -> str:
    parts = [f"## {topic['title']}", topic["how"]]
    for table in topic["tables"]:
        parts.append(f"### {table['title']}")
        parts.append(_grid(table))
        if table["note"]:
            parts.append(table["note"])
    if topic["about"]:
        parts.append(f"*{_about(topic['about'])}*")
    return "\n\n".join(parts)


def _about(about: dict[str, Any]) -> str:
    return ". ".join(f"{name}: {value}" for name, value in about.items()) + "."


def _grid(table: dict[str, Any]) -> str:
    header, rows = table["header"], table["rows"]
    aligned = ["---", *("---:" for _ in header[1:])]
    lines = [header, aligned, *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)

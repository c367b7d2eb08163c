"""What the benchmark computes and writes; what it measures is not for a test to judge."""

import json
import re
from pathlib import Path

import pytest

from bench import report
from bench.data import uuid_of
from bench.numbers import percentile
from bench.report import Budget, Table, Topic


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(report, "JSON_FILE", tmp_path / "results.json")
    monkeypatch.setattr(report, "MARKDOWN_FILE", tmp_path / "RESULTS.md")
    return tmp_path / "RESULTS.md"


@pytest.mark.parametrize(
    ("percent", "value"),
    [(50, 50), (99, 99), (100, 100), (1, 1), (99.5, 100)],
)
def test_a_percentile_is_a_value_that_was_measured(percent: float, value: int) -> None:
    assert percentile(list(range(100, 0, -1)), percent) == value
    assert percentile([7], percent) == 7


def test_the_load_and_the_database_agree_on_the_uuids() -> None:
    assert str(uuid_of(1)) == "9e3779b1-0000-4000-8000-000000000001"
    assert str(uuid_of(1_000_000)) == "fc9d0e40-0000-4000-8000-0000000f4240"
    script = (Path(report.HERE) / "load.lua").read_text()
    assert re.search(r'"%08x-0000-4000-8000-%012x", i \* 2654435761 % 4294967296, i', script)


def test_a_run_of_one_topic_leaves_the_others_as_they_were(results: Path) -> None:
    for name, met in (("first", True), ("second", False)):
        table = Table("A table", ["", "figure"], [["ours", f"{name} 1"]])
        budget = Budget(f"what {name} may cost", "<= 1", "2", met)
        report.save(
            name, Topic(f"Topic {name}", "How.", [table], [budget]), about={"Scale": "quick"}
        )
    report.save("first", Topic("Topic first", "How else."), about={"Scale": "full"})
    report.write_markdown(["second", "first"])
    text = results.read_text()
    assert text.index("## Topic second") < text.index("## Topic first")
    assert "| what second may cost | <= 1 | 2 | **not met** |" in text
    assert "| ours | second 1 |" in text
    assert "first 1" not in text
    assert "*Scale: full.*" in text
    assert set(json.loads((results.parent / "results.json").read_text())) == {"first", "second"}

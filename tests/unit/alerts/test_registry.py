"""Plugins of other packages: taken when they keep the contract, else named and left out."""

from importlib.metadata import EntryPoint
from typing import Any

import pytest
import structlog
from pydantic import ConfigDict

from heartbeat_central.alerts.base import AlertPlugin, Outbound, PluginConfig
from heartbeat_central.alerts.registry import BUILT_IN, GROUP, build_registry
from heartbeat_central.domain.alert import Envelope
from heartbeat_central.domain.errors import Invalid

BUILT_IN_TYPES = [plugin.type for plugin in BUILT_IN]


class PagerConfig(PluginConfig):
    pass


class PagerPlugin(AlertPlugin[PagerConfig]):
    type = "pager"
    label = "Pager"
    summary = "Calls."
    Config = PagerConfig

    def build(self, envelope: Envelope, config: PagerConfig) -> Any:
        return None

    def send(self, envelope: Envelope, config: PagerConfig, outbound: Outbound) -> str:
        return "called"


class OtherPager(PagerPlugin):
    pass


class TakesABuiltInType(PagerPlugin):
    type = "email"


class HasABadType(PagerPlugin):
    type = "Pager!"


class HasNoLabel(PagerPlugin):
    label = None  # type: ignore[assignment]


class HasNoConfig(PagerPlugin):
    Config = dict  # type: ignore[assignment]


class FailsToStart(PagerPlugin):
    def __init__(self) -> None:
        raise RuntimeError("no licence")


class Undrawable:
    pass


class UndrawableConfig(PluginConfig):
    model_config = ConfigDict(arbitrary_types_allowed=True)
    thing: Undrawable | None = None


class CannotBeDrawn(PagerPlugin):
    Config = UndrawableConfig  # type: ignore[assignment]  # that of no pager


class IsAbstract(AlertPlugin[PagerConfig]):
    type = "pager"
    label = "Pager"
    summary = "Calls."
    Config = PagerConfig


def entry(name: str, value: str = "") -> EntryPoint:
    return EntryPoint(name, value or f"{__name__}:{name}", GROUP)


def test_a_plugin_of_another_package_comes_after_the_built_in_ones() -> None:
    registry = build_registry([entry("PagerPlugin")])
    assert [plugin.type for plugin in registry.all()] == [*BUILT_IN_TYPES, "pager"]
    assert isinstance(registry.get("pager"), PagerPlugin)
    assert registry.problems == ()


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (entry("gone", "no_such_module_anywhere:Plugin"), "no_such_module_anywhere"),
        (entry("nameless", f"{__name__}:NoSuchPlugin"), "NoSuchPlugin"),
        (entry("no_class", f"{__name__}:BUILT_IN_TYPES"), "must name a subclass"),
        (entry("no_plugin", f"{__name__}:PagerConfig"), "must name a subclass"),
        (entry("TakesABuiltInType"), "of type `email` already"),
        (entry("HasABadType"), "lower case"),
        (entry("HasNoLabel"), "label must be text"),
        (entry("HasNoConfig"), "subclass of PluginConfig"),
        (entry("FailsToStart"), "no licence"),
        (entry("CannotBeDrawn"), "JsonSchema"),
        (entry("IsAbstract"), "abstract"),
    ],
    ids=lambda value: value.name if isinstance(value, EntryPoint) else "",
)
def test_a_broken_one_is_logged_by_name_and_left_out(broken: EntryPoint, words: str) -> None:
    with structlog.testing.capture_logs() as logs:
        registry = build_registry([broken, entry("PagerPlugin")])

    assert [plugin.type for plugin in registry.all()] == [*BUILT_IN_TYPES, "pager"]
    [problem] = registry.problems
    assert problem.name == broken.name
    assert words in problem.message
    assert logs == [
        {
            "event": "alert_plugin_skipped",
            "log_level": "error",
            "plugin": broken.name,
            "problem": problem.message,
        }
    ]


def test_a_module_that_ends_the_process_is_left_out(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "plugin_that_exits.py").write_text("raise SystemExit(3)")
    monkeypatch.syspath_prepend(tmp_path)
    [problem] = build_registry([entry("ends", "plugin_that_exits:Plugin")]).problems
    assert "SystemExit" in problem.message


def test_of_two_with_one_type_the_first_by_name_is_taken() -> None:
    registry = build_registry([entry("PagerPlugin"), entry("OtherPager")])
    assert type(registry.get("pager")) is OtherPager
    [problem] = registry.problems
    assert problem.name == "PagerPlugin"


def test_an_unknown_type_names_the_known_ones() -> None:
    with pytest.raises(Invalid, match="`email`, `slack`"):
        build_registry([]).get("pigeon")

"""Which alert plugins there are: the built-in ones, and those that other packages register."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import Any

import structlog

from heartbeat_central.alerts import config as plugin_config
from heartbeat_central.alerts.apprise.plugin import ApprisePlugin
from heartbeat_central.alerts.base import AlertPlugin, PluginConfig
from heartbeat_central.alerts.discord.plugin import DiscordPlugin
from heartbeat_central.alerts.email.plugin import EmailPlugin
from heartbeat_central.alerts.slack.plugin import SlackPlugin
from heartbeat_central.alerts.sms.plugin import SmsPlugin
from heartbeat_central.alerts.webhook.plugin import WebhookPlugin
from heartbeat_central.domain.errors import Invalid

GROUP = "heartbeat_central.alerts"
"""The entry-point group in which packages register a subclass of AlertPlugin."""

BUILT_IN: tuple[type[AlertPlugin[Any]], ...] = (
    EmailPlugin,
    SlackPlugin,
    DiscordPlugin,
    SmsPlugin,
    WebhookPlugin,
    ApprisePlugin,
)

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Problem:
    """A plugin of another package that could not be taken."""

    name: str
    """Entry point and package, as in `pager (acme-pager 1.0)`."""
    message: str


class Registry:
    """The plugins by type. Made once, at start."""

    def __init__(
        self, plugins: Iterable[AlertPlugin[Any]], problems: Iterable[Problem] = ()
    ) -> None:
        self._plugins = {plugin.type: plugin for plugin in plugins}
        self.problems: Sequence[Problem] = tuple(problems)
        """What was left out and why; none of it keeps the service from starting."""

    def get(self, type_: str) -> AlertPlugin[Any]:
        """Return the plugin of that type. Raises Invalid, naming the known ones, when there is none."""
        try:
            return self._plugins[type_]
        except KeyError:
            known = ", ".join(f"`{name}`" for name in self._plugins)
            raise Invalid.one("type", f"must be one of {known}") from None

    def all(self) -> Sequence[AlertPlugin[Any]]:
        """Return the plugins: the built-in ones in their order, then others by type."""
        return tuple(self._plugins.values())


def build_registry(entry_points: Iterable[metadata.EntryPoint] | None = None) -> Registry:
    """Return the registry of all plugins; by default those of installed packages are looked up.

    A plugin that fails to load, breaks the contract or takes a type that is taken is left out, logged
    by name, and kept as a Problem.
    """
    found = metadata.entry_points(group=GROUP) if entry_points is None else entry_points
    plugins = {plugin.type: plugin for plugin in (make() for make in BUILT_IN)}
    others: dict[str, AlertPlugin[Any]] = {}
    problems = []
    for entry_point in sorted(found, key=lambda entry: (entry.name, entry.value)):
        try:
            plugin = _load(entry_point)
            if plugin.type in plugins or plugin.type in others:
                raise TypeError(f"there is a plugin of type `{plugin.type}` already")
        except (Exception, SystemExit) as error:
            # Whatever another package's code does while it is imported, the service must start.
            message = f"{type(error).__name__}: {error}"
            problems.append(Problem(_name(entry_point), message))
        else:
            others[plugin.type] = plugin
    for problem in problems:
        log.error("alert_plugin_skipped", plugin=problem.name, problem=problem.message)
    return Registry([*plugins.values(), *(others[name] for name in sorted(others))], problems)


def _load(entry_point: metadata.EntryPoint) -> AlertPlugin[Any]:
    cls = entry_point.load()
    if not (isinstance(cls, type) and issubclass(cls, AlertPlugin)):
        raise TypeError(
            "the entry point must name a subclass of heartbeat_central.alerts.base.AlertPlugin"
        )
    for attribute in ("type", "label", "summary"):
        if not isinstance(getattr(cls, attribute, None), str):
            raise TypeError(f"{cls.__name__}.{attribute} must be text")
    if not re.fullmatch(r"[a-z][a-z0-9_-]{0,39}", cls.type):
        raise TypeError(f"{cls.__name__}.type must be lower case and short, like `pager`")
    config = getattr(cls, "Config", None)
    if not (isinstance(config, type) and issubclass(config, PluginConfig)):
        raise TypeError(f"{cls.__name__}.Config must be a subclass of PluginConfig")
    plugin = cls()
    # A model that no form can be drawn from would else break the pages of all the others.
    plugin_config.json_schema(plugin)
    return plugin


def _name(entry_point: metadata.EntryPoint) -> str:
    package = entry_point.dist
    return f"{entry_point.name} ({package.name} {package.version})" if package else entry_point.name

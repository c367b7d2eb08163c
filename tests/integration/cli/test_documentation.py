"""The reference of the command line names every command and option there is, and no other."""

import re
from collections.abc import Iterator

import click

from heartbeat_central.cli.main import cli
from tests.integration.cli.conftest import REPOSITORY

PAGE = (REPOSITORY / "docs/reference/cli.md").read_text(encoding="utf-8")


def commands(group: click.Group, path: str = "") -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        full = f"{path} {name}".strip()
        if isinstance(command, click.Group):
            yield from commands(command, full)
        else:
            yield full, command


def test_every_command_has_a_section_and_every_section_a_command() -> None:
    headings = re.findall(r"^## (.+)$", PAGE, flags=re.M)
    assert sorted(headings) == sorted(name for name, _ in commands(cli))


def test_every_option_is_in_its_commands_section() -> None:
    sections = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", PAGE, flags=re.M | re.S))
    for name, command in commands(cli):
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert parameter.opts[0] in sections[name], f"{name} {parameter.opts[0]}"


def test_every_command_says_what_it_does() -> None:
    assert all(command.help for _, command in commands(cli))

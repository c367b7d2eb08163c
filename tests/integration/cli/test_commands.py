"""Each command does what its help says, on both databases."""

import subprocess
import sys

import pytest

from tests.integration.cli.conftest import COMMAND, CommandLine


def test_upgrade_makes_the_tables_once(command_line: CommandLine) -> None:
    first = command_line.run("db", "upgrade")
    assert first.returncode == 0
    assert "from revision none" in first.stderr
    assert "up to date" in command_line.run("db", "upgrade").stderr


def test_alembic_is_imported_for_migrations_alone(on_sqlite: CommandLine) -> None:
    on_sqlite.output("db", "upgrade")
    # Of a new interpreter: the launcher has imported everything.
    command = [sys.executable, "-X", "importtime", *COMMAND[1:], "app", "list"]
    environment = on_sqlite.environment()
    done = subprocess.run(command, env=environment, cwd=on_sqlite.folder, capture_output=True)
    assert done.returncode == 0
    assert b"sqlalchemy" in done.stderr
    assert b"alembic" not in done.stderr


def test_a_key_stands_alone_on_stdout_and_is_listed_in_part(command_line: CommandLine) -> None:
    key = command_line.output("apikey", "create", "--scope", "write", "--name", "deploy")
    assert len(key.splitlines()) == 1
    key = key.strip()
    listed = command_line.output("apikey", "list")
    assert key not in listed
    row = listed.rstrip("\n").split("\t")
    assert (row[1], row[2], row[5]) == ("deploy", "write", "-")
    assert key.startswith(row[3])


def test_a_revoked_key_is_listed_as_such(command_line: CommandLine) -> None:
    command_line.output("apikey", "create", "--scope", "read")
    number = command_line.output("apikey", "list").split("\t")[0]
    command_line.output("apikey", "revoke", number)
    listed = command_line.output("apikey", "list")
    assert listed == "" or "UTC" in listed.split("\t")[5]


def test_revoking_a_key_that_is_not_there_fails(command_line: CommandLine) -> None:
    command_line.failure("apikey", "revoke", "4711")


def test_an_application_is_added_and_listed(command_line: CommandLine) -> None:
    url = command_line.output("app", "add", "Nightly backup", "--interval", "60", "--grace", "5")
    assert url.startswith(f"http://localhost:{command_line.settings['PORT']}/heartbeat/")
    row = command_line.output("app", "list").rstrip("\n").split("\t")
    assert (row[1], row[2]) == ("Nightly backup", "new")
    assert row[5] == url.strip()


@pytest.mark.parametrize(
    "schedule", [("--cron", "30 2 * * *"), ("--oncalendar", "Mon..Fri *-*-* 02:30")]
)
def test_an_application_with_a_schedule(
    command_line: CommandLine, schedule: tuple[str, str]
) -> None:
    command_line.output("app", "add", "x", *schedule, "--timezone", "Europe/Vienna")
    assert "UTC" in command_line.output("app", "list").split("\t")[4]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["x", "--interval", "0"], "--interval: must be between 1 and"),
        (["x", "--interval", "5", "--grace", "-1"], "--grace: must be 0 to"),
        (["x", "--cron", "61 * * * *"], "The schedule: '61 * * * *' is no cron expression"),
        (["x", "--cron", ""], "The schedule: an empty text is no cron expression"),
        (["x", "--oncalendar", "Mo"], "The schedule: 'Mo' is no OnCalendar expression"),
        (["x", "--cron", "@daily", "--timezone", "Mars"], "--timezone: 'Mars' is no IANA"),
        (["", "--interval", "5"], "NAME: must have 1 to 200 characters"),
        (["x", "--interval", "5", "--channel", "99"], "--channel"),
    ],
)
def test_a_wrong_value_is_told_by_the_name_of_its_option(
    on_sqlite: CommandLine, arguments: list[str], words: str
) -> None:
    assert words in on_sqlite.failure("app", "add", *arguments)


def test_a_user_is_added_once(command_line: CommandLine) -> None:
    arguments = ("user", "add", "ann@example.org", "--password-stdin")
    done = command_line.run(*arguments, said="correct horse battery\n")
    assert done.returncode == 0, done.stderr
    again = command_line.run(*arguments, said="correct horse battery\n")
    assert again.returncode == 1
    assert "ann@example.org" in again.stderr
    assert "Traceback" not in again.stderr


def test_an_account_needs_a_password(on_sqlite: CommandLine) -> None:
    done = on_sqlite.run("user", "add", "ann@example.org", "--password-stdin", said="\n")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


def test_a_password_is_not_asked_for_where_nobody_can_type(on_sqlite: CommandLine) -> None:
    done = on_sqlite.run("user", "add", "ann@example.org", said="")
    assert done.returncode == 2
    assert "--password-stdin" in done.stderr


def test_testing_a_channel_that_is_not_there_fails(on_sqlite: CommandLine) -> None:
    on_sqlite.failure("channel", "test", "4711")


def test_the_version_needs_no_settings(on_sqlite: CommandLine) -> None:
    assert on_sqlite.run("--version", env={"PORT": "x"}).returncode == 0

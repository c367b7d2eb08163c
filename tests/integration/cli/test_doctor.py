"""`doctor` finds what is wrong, changes nothing, and its ids keep step with the reference."""

import re
import socket

import pytest

from tests.integration.cli.conftest import REPOSITORY, CommandLine


def findings(text: str) -> dict[str, str]:
    """Return the state of each check by its id."""
    return dict(re.findall(r"^([a-z-]+) +(ok|note|FAILED)", text, flags=re.M))


def diagnosis(command_line: CommandLine, **env: str) -> tuple[int, dict[str, str], str]:
    done = command_line.run("doctor", env=env)
    assert done.stderr == ""
    return done.returncode, findings(done.stdout), done.stdout


def test_all_is_well_before_the_first_start_and_nothing_is_made(on_sqlite: CommandLine) -> None:
    status, found, text = diagnosis(on_sqlite)
    assert status == 0, text
    assert found["data-folder"] == "note"
    assert list(on_sqlite.folder.iterdir()) == []


def test_all_is_well_while_the_service_runs(command_line: CommandLine) -> None:
    command_line.settings["SECRET_KEY"] = "the-same-on-every-node"
    with command_line.serving():
        status, found, text = diagnosis(command_line)
    assert status == 0, text
    assert "healthy" in text
    assert set(found.values()) == {"ok"}


def test_a_wrong_setting_is_found(on_sqlite: CommandLine) -> None:
    status, found, text = diagnosis(on_sqlite, PORT="x")
    assert (status, found) == (1, {"settings": "FAILED"})
    assert "must be a number" in text


def test_an_absent_database_is_found(on_sqlite: CommandLine) -> None:
    status, found, _ = diagnosis(on_sqlite, DATABASE_URL="postgresql://u@127.0.0.1:1/x")
    assert status == 1
    assert found["database"] == "FAILED"


def test_a_taken_port_is_found(on_sqlite: CommandLine) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        status, found, _ = diagnosis(on_sqlite, PORT=str(other.getsockname()[1]))
    assert status == 1
    assert found["port"] == "FAILED"


def test_a_mail_server_that_does_not_answer_is_found(on_sqlite: CommandLine) -> None:
    status, found, _ = diagnosis(on_sqlite, SMTP_SERVER="127.0.0.1", SMTP_PORT="1")
    assert status == 1
    assert found["mail-server"] == "FAILED"


def test_private_targets_are_worth_a_note(on_sqlite: CommandLine) -> None:
    status, found, _ = diagnosis(on_sqlite, HEARTBEAT_ALLOW_PRIVATE_TARGETS="true")
    assert status == 0
    assert found["private-targets"] == "note"


def test_a_data_folder_that_is_a_file_is_found(on_sqlite: CommandLine) -> None:
    (on_sqlite.folder / "data").write_text("")
    status, found, _ = diagnosis(on_sqlite)
    assert status == 1
    assert found["data-folder"] == "FAILED"


@pytest.mark.parametrize("named", ["settings", "data-folder", "schema", "secret-key", "clock"])
def test_ids_are_in_the_reference(named: str) -> None:
    assert f"| `{named}` |" in (REPOSITORY / "docs/reference/cli.md").read_text()

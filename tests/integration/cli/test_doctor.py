"""`doctor` finds what is wrong, changes nothing, and its ids keep step with the reference."""

import json
import re
import socket
import urllib.request

from sqlalchemy import text as sql

from heartbeat_central.cli.checks import CheckId
from heartbeat_central.services.check_health import Health, Part, PartStatus
from heartbeat_central.storage.engine import open_database
from tests.integration.cli.conftest import REPOSITORY, CommandLine
from tests.support.receivers.http import HttpReceiver, respond


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
    with command_line.serving() as running:
        command_line.settings["WATCHDOG_URL"] = f"{running.base_url}/"
        status, found, text = diagnosis(command_line)
    assert status == 0, text
    assert "healthy" in text
    assert set(found.values()) == {"ok"}
    # Without a mail server there is nothing to tell of one.
    assert set(found) == {one.value for one in CheckId} - {"mail-server"}
    assert list(found) == [one.value for one in CheckId if one.value in found]


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


def test_a_watchdog_that_cant_be_reached_is_found(on_sqlite: CommandLine) -> None:
    status, found, text = diagnosis(
        on_sqlite, WATCHDOG_URL="http://127.0.0.1:1/heartbeat/its-secret-path"
    )
    assert status == 1
    assert found["watchdog"] == "FAILED"
    assert "its-secret-path" not in text


def changed(command_line: CommandLine, *statements: str) -> None:
    """Write into its database as nobody should."""
    url = command_line.settings["DATABASE_URL"]
    database = open_database(
        url or f"sqlite:///{command_line.folder / 'data' / 'heartbeat-central.db'}"
    )
    with database.write() as connection:
        for statement in statements:
            connection.execute(sql(statement))
    database.close()


def prepared(command_line: CommandLine) -> None:
    """Let there be an application and a channel, as of a service that does not run."""
    command_line.settings["SECRET_KEY"] = "the-same-on-every-node"
    command_line.settings["ADMIN_EMAIL"] = "ada@example.com"
    command_line.settings["ADMIN_PASSWORD"] = "correct horse battery"
    with command_line.serving() as running:
        key = command_line.output("apikey", "create", "--scope", "write").strip()
        for path, body in (
            (
                "channels",
                {"name": "Ops", "type": "webhook", "config": {"url": "https://x.invalid/"}},
            ),
            ("applications", {"name": "Nightly", "expected_interval": 3600, "channels": "*"}),
        ):
            request = urllib.request.Request(
                f"{running.base_url}/api/{path}",
                json.dumps(body).encode(),
                {"X-Api-Key": key, "Content-Type": "application/json"},
            )
            with urllib.request.urlopen(request) as answer:
                assert answer.status == 201
        running.stop()


def test_what_is_wrong_with_the_work_is_found_and_named(command_line: CommandLine) -> None:
    prepared(command_line)
    status, found, text = diagnosis(command_line)
    assert status == 0, text
    states = ("ingest", "detector", "outbox", "dead-letters", "applications", "channels")
    assert {found[name] for name in states} <= {"ok", "note"}
    changed(
        command_line,
        "UPDATE applications SET expected_interval = 0",
        "UPDATE channels SET type = 'pigeon'",
        "INSERT INTO alerts (id, project_id, kind, snapshot, created_at)"
        " SELECT 7, id, 'down', '{}', created_at FROM projects",
        "INSERT INTO deliveries (id, uuid, alert_id, channel_id, status, attempt, created_at)"
        " SELECT 7, '00000000000000000000000000000007', 7, id, 'dead', 1, created_at FROM channels",
    )
    status, found, text = diagnosis(command_line)
    assert status == 1
    failed = {name for name, state in found.items() if state == "FAILED"}
    assert failed == {"applications", "channels", "dead-letters"}, text
    assert "Nightly: expected_interval: must be between" in text
    assert "Ops: type: " in text


def test_a_part_of_the_running_service_that_fails_is_named(on_sqlite: CommandLine) -> None:
    health = Health(
        {
            "database": Part(status=PartStatus.OK),
            "ingest": Part(status=PartStatus.FAILING, detail="has not run lately"),
            "detector": Part(status=PartStatus.OK),
            "outbox": Part(status=PartStatus.ELSEWHERE, detail="another process"),
        }
    )
    with HttpReceiver(respond(503, json.dumps(health.as_json()).encode())) as service:
        status, found, text = diagnosis(on_sqlite, PORT=str(service.port))
    assert (status, found["port"]) == (1, "FAILED")
    assert "says what fails: ingest." in text


def test_the_reference_explains_each_check_and_no_other() -> None:
    page = (REPOSITORY / "docs/reference/doctor.md").read_text()
    documented = re.findall(r"^\| `([a-z-]+)` \|", page, flags=re.M)
    assert documented == [one.value for one in CheckId]

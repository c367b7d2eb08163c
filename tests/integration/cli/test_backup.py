"""Back up and restore by command: a running service, pipes, wrong keys, and what is left alone."""

import os
import pty
import subprocess

from tests.integration.cli.conftest import COMMAND, CommandLine, fetch
from tests.support.backups import Sample

WORLDS_KEY = "a secret key of this test only"
"""That the sample's secrets are sealed with."""


def elsewhere(here: CommandLine, url: str, name: str = "elsewhere") -> CommandLine:
    """Return the command line of another instance, with its own folder and database."""
    folder = here.folder / name
    folder.mkdir()
    settings = {"DATABASE_URL": url, "HEARTBEAT_DATA_DIR": str(folder / "data")}
    return CommandLine(folder, {**here.settings, **settings})


def test_a_running_service_is_backed_up_and_put_back(command_line: CommandLine) -> None:
    file = command_line.folder / "backup.gz"
    url = command_line.output("app", "add", "Nightly", "--interval", "3600").strip()
    path = url[url.index("/heartbeat/") :]
    with command_line.serving() as service:
        assert fetch(service.base_url + path)[0] == 200
        command_line.output("backup", str(file))
        assert "stop the service" in command_line.failure("restore", "--replace", str(file))
        assert service.stop() == 0
    assert file.stat().st_mode & 0o777 == 0o600
    assert not file.with_name("backup.gz.partial").exists()

    refused = command_line.failure("restore", str(file))
    assert "applications: 1" in refused
    assert "--replace" in refused
    command_line.output("restore", "--replace", str(file))
    assert url in command_line.output("app", "list"), "applications go on calling the same URLs"


def test_moves_from_sqlite_to_postgresql_through_a_pipe(
    on_sqlite: CommandLine, postgres_url: str
) -> None:
    on_sqlite.output("app", "add", "Nightly", "--interval", "3600")
    listed = on_sqlite.output("app", "list")
    there = elsewhere(on_sqlite, postgres_url)
    piped = subprocess.run(
        [*COMMAND, "backup", "-"],
        cwd=on_sqlite.folder,
        env=on_sqlite.environment(),
        capture_output=True,
        check=True,
    )
    subprocess.run(
        [*COMMAND, "restore", "-"],
        cwd=there.folder,
        env=there.environment(),
        input=piped.stdout,
        check=True,
    )
    assert there.output("app", "list") == listed


def test_a_lost_secret_key_is_told_before_anything_is_changed(
    on_sqlite: CommandLine, sample: Sample
) -> None:
    file = on_sqlite.folder / "backup.gz"
    file.write_bytes(sample.backup)
    assert "--former-key-file" in on_sqlite.failure("restore", str(file))
    assert not (on_sqlite.folder / "data").exists(), "not even a key was made"

    former = on_sqlite.folder / "former key"
    former.write_text(f"{WORLDS_KEY}\n")
    on_sqlite.output("restore", "--former-key-file", str(former), str(file))
    checks = on_sqlite.output("doctor")
    assert "It opens the configurations of all 1 channels." in checks

    on_sqlite.output("restore", "--without-secrets", "--replace", str(file))
    doctor = on_sqlite.run("doctor")
    assert "does not open the configuration of 1 of 1 channels" in doctor.stdout


def test_a_check_reads_the_file_and_needs_no_database(
    on_sqlite: CommandLine, sample: Sample
) -> None:
    file = on_sqlite.folder / "backup.gz"
    file.write_bytes(sample.backup)
    told = on_sqlite.run("restore", "--check", str(file))
    assert told.returncode == 0
    assert "applications: 7, channels: 1," in told.stderr
    file.write_bytes(sample.backup[:-100])
    refused = on_sqlite.failure("restore", "--check", str(file))
    assert "is cut off" in refused
    assert refused.endswith("Nothing was changed.")
    assert not (on_sqlite.folder / "data").exists()


def test_a_backup_that_fails_leaves_the_one_before_it(on_sqlite: CommandLine) -> None:
    file = on_sqlite.folder / "backup.gz"
    file.write_bytes(b"the one before")
    assert "no tables yet" in on_sqlite.failure("backup", str(file))
    assert file.read_bytes() == b"the one before"
    assert not file.with_name("backup.gz.partial").exists()
    assert "No such file or directory" in on_sqlite.failure("backup", "missing/backup.gz")
    assert "no such file or directory" in on_sqlite.failure("restore", "missing.gz")


def test_a_terminal_shows_how_far_it_is_and_never_a_backup(on_sqlite: CommandLine) -> None:
    on_sqlite.output("app", "add", "Nightly", "--interval", "3600")
    master, terminal = pty.openpty()
    try:
        subprocess.run(
            [*COMMAND, "backup", "backup.gz"],
            cwd=on_sqlite.folder,
            env=on_sqlite.environment({"TERM": "xterm"}),
            stderr=terminal,
            check=True,
        )
        assert "Backing up" in os.read(master, 100_000).decode()
        refused = subprocess.run(
            [*COMMAND, "backup", "-"],
            cwd=on_sqlite.folder,
            env=on_sqlite.environment(),
            stdout=terminal,
            stderr=subprocess.PIPE,
            check=False,
        )
        assert refused.returncode == 2
        assert b"no text for a terminal" in refused.stderr
    finally:
        os.close(master)
        os.close(terminal)

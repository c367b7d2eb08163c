"""`serve` and `python app.py`: the first start, what a start prints, and the end."""

import json
import os
import pty
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from tests.integration.cli.conftest import COMMAND, REPOSITORY, CommandLine, fetch
from tests.support.pooler import pgbouncer
from tests.support.ports import free_port


def test_a_key_and_an_application_made_beforehand_work_in_the_service(
    command_line: CommandLine,
) -> None:
    key = command_line.output("apikey", "create", "--scope", "read").strip()
    command_line.output("app", "add", "Web shop", "--interval", "60")
    with command_line.serving() as service:
        status, body = fetch(f"{service.base_url}/api/applications", key=key)
        assert status == 200
        assert "Web shop" in body
        url = command_line.output("app", "list").rstrip("\n").split("\t")[5]
        assert fetch(url)[0] == 200
        assert "\tup\t" in command_line.output("app", "list")
        number = command_line.output("apikey", "list").split("\t")[0]
        command_line.output("apikey", "revoke", number)
        assert fetch(f"{service.base_url}/api/applications", key=key)[0] == 401
        assert service.stop() == 0


def test_the_first_start_prints_a_link_that_opens(on_sqlite: CommandLine) -> None:
    with on_sqlite.serving() as service:
        events = {line["event"]: line for line in map(json.loads, service.said().splitlines())}
        assert fetch(events["no_account_yet"]["make_the_first_one_at"])[0] == 200


def test_no_link_once_there_is_an_account(on_sqlite: CommandLine) -> None:
    on_sqlite.output("user", "add", "ann@example.org", "--password-stdin", said="correct horse\n")
    with on_sqlite.serving() as service:
        assert "no_account_yet" not in service.said()


def test_admin_settings_make_the_first_account(on_sqlite: CommandLine) -> None:
    env = {"ADMIN_EMAIL": "ann@example.org", "ADMIN_PASSWORD": "correct horse battery"}
    for _ in range(2):  # the second start finds it there
        with on_sqlite.serving(env=env) as service:
            assert "no_account_yet" not in service.said()
            assert service.stop() == 0
        assert "correct horse" not in service.said()
    again = on_sqlite.run("user", "add", "ann@example.org", "--password-stdin", said="long enough!")
    assert again.returncode == 1


def test_a_pooler_that_hands_connections_around_is_refused_and_found(
    on_postgresql: CommandLine, tmp_path: Path
) -> None:
    with pgbouncer(tmp_path, on_postgresql.settings["DATABASE_URL"], "transaction") as url:
        assert "a pooler that gives each transaction another connection" in on_postgresql.failure(
            "serve", env={"DATABASE_URL": url}
        )
        doctor = on_postgresql.run("doctor", env={"DATABASE_URL": url})
    assert "FAILED  DATABASE_URL leads to a pooler" in doctor.stdout


def test_an_admin_password_that_is_too_short_is_told(on_sqlite: CommandLine) -> None:
    env = {"ADMIN_EMAIL": "ann@example.org", "ADMIN_PASSWORD": "x"}
    sentence = on_sqlite.failure("serve", env=env)
    assert "password" in sentence.lower()


def test_app_py_serves_from_a_copy_without_installation(on_sqlite: CommandLine) -> None:
    shutil.copy(REPOSITORY / "app.py", on_sqlite.folder)
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(REPOSITORY / "src", on_sqlite.folder / "src", ignore=ignored)
    shutil.copy(REPOSITORY / ".env.example", on_sqlite.folder / ".env")
    command = (sys.executable, "app.py")
    with on_sqlite.serving(command, env={"PYTHONPATH": ""}) as service:
        assert service.stop() == 0


def test_app_py_runs_the_other_commands_too(on_sqlite: CommandLine) -> None:
    # Each in an interpreter of its own, where it imports all that it needs by itself.
    command = [sys.executable, str(REPOSITORY / "app.py")]
    for arguments, words in [
        (["apikey", "create", "--scope", "read"], "hbc_"),
        (["doctor"], "up to date"),
        (["app", "add", "Web shop", "--interval", "60"], "/heartbeat/"),
        (["app", "list"], "Web shop"),
        (["user", "add", "ann@example.org", "--password-stdin"], ""),
        (["db", "upgrade"], ""),
        (["--help"], "apikey"),
        (["--version"], "version"),
    ]:
        done = subprocess.run(
            [*command, *arguments],
            cwd=on_sqlite.folder,
            env=on_sqlite.environment(),
            input="correct horse battery\n",
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert words in done.stdout


def test_app_py_takes_the_options_of_serve(on_sqlite: CommandLine) -> None:
    command = [sys.executable, str(REPOSITORY / "app.py")]
    for arguments, words in [
        (["--port", "0"], "Invalid value for '--port'"),
        (["sreve"], "No such command 'sreve'"),
    ]:
        done = subprocess.run(
            [*command, *arguments],
            cwd=on_sqlite.folder,
            env=on_sqlite.environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 2
        assert words in done.stderr


def test_it_can_be_ended_before_it_serves(on_sqlite: CommandLine) -> None:
    process = subprocess.Popen(
        [*COMMAND, "serve"],
        cwd=on_sqlite.folder,
        env=on_sqlite.environment(),
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stderr is not None
        while "service_starting" not in process.stderr.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        assert "Traceback" not in process.stderr.read()


def test_app_py_says_what_to_install(on_sqlite: CommandLine) -> None:
    # -S leaves out all that is installed, as in an environment that is still empty.
    done = subprocess.run(
        [sys.executable, "-S", str(REPOSITORY / "app.py")],
        cwd=on_sqlite.folder,
        env=on_sqlite.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "pip install -r" in done.stderr


def test_a_terminal_shows_the_address_and_the_link(on_sqlite: CommandLine) -> None:
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [*COMMAND, "serve"],
        cwd=on_sqlite.folder,
        env=on_sqlite.environment(),
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        base_url = f"http://localhost:{on_sqlite.settings['PORT']}"
        said = b""
        while b"/setup?token=" not in said:
            said += os.read(ours, 4096)
        while fetch(f"{base_url}/health")[0] != 200:
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.wait(15) == 0
        os.close(ours)
    assert f"Heartbeat Central: {base_url}".encode() in said
    assert b"There is no account yet" in said


def test_options_win_over_settings(on_sqlite: CommandLine) -> None:
    port = on_sqlite.settings["PORT"]
    command = (sys.executable, "-m", "heartbeat_central.cli", "serve", "--port", port)
    (on_sqlite.folder / ".env").write_text("PORT=1\n")
    with on_sqlite.serving(command) as service:
        assert f"http://localhost:{port}" in service.said()


def test_a_second_one_on_the_same_sqlite_file_is_refused(on_sqlite: CommandLine) -> None:
    elsewhere = {"PORT": str(free_port())}
    with on_sqlite.serving() as service:
        file = on_sqlite.folder / "data" / "heartbeat-central.db"
        assert on_sqlite.failure("serve", env=elsewhere) == (
            f"heartbeat-central: Another `serve` (process {service.process.pid}) is using {file}; stop "
            "that one, or give this one a database of its own with HEARTBEAT_DATA_DIR or DATABASE_URL."
        )
        # Another name for it is no way around.
        link = on_sqlite.folder / "link.sqlite3"
        link.symlink_to(file)
        under_another_name = {**elsewhere, "DATABASE_URL": f"sqlite:///{link}"}
        assert "Another `serve`" in on_sqlite.failure("serve", env=under_another_name)
        # Commands that come and go are no service.
        on_sqlite.output("app", "add", "Web shop", "--interval", "60")
        on_sqlite.output("user", "add", "a@example.org", "--password-stdin", said="long enough!")
        on_sqlite.output("backup", "copy.gz")
        on_sqlite.output("db", "upgrade")
        service.process.kill()
        service.process.wait()
    # What was killed holds nothing.
    with on_sqlite.serving(env=elsewhere):
        pass

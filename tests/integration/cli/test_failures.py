"""Whatever an operator may get wrong ends in one sentence and exit status 1, never in a traceback."""

import socket
from pathlib import Path

import pytest

from tests.integration.cli.conftest import CommandLine

NOBODY = "postgresql://user:sesame@127.0.0.1:1/nothing"


def test_a_wrong_setting(on_sqlite: CommandLine) -> None:
    assert "PORT is 'http'; it must be" in on_sqlite.failure("serve", env={"PORT": "http"})


def test_a_misspelt_setting_in_the_file(on_sqlite: CommandLine) -> None:
    (on_sqlite.folder / ".env").write_text("SMTP_SEVER=mail.example.org\n")
    assert "did you mean SMTP_SERVER?" in on_sqlite.failure("serve")


def test_two_wrong_settings_are_two_sentences(on_sqlite: CommandLine) -> None:
    done = on_sqlite.run("serve", env={"PORT": "http", "FLASK_ENV": "prod"})
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 2


@pytest.mark.parametrize("arguments", [["serve"], ["app", "list"], ["db", "upgrade"]])
def test_an_unreachable_database(on_sqlite: CommandLine, arguments: list[str]) -> None:
    sentence = on_sqlite.failure(*arguments, env={"DATABASE_URL": NOBODY})
    assert "database can't be used" in sentence
    assert "DATABASE_URL" in sentence
    assert "sesame" not in sentence


def test_an_option_that_postgresql_does_not_know(on_sqlite: CommandLine) -> None:
    sentence = on_sqlite.failure("serve", env={"DATABASE_URL": f"{NOBODY}?sslmod=require"})
    assert 'DATABASE_URL: holds an invalid connection option "sslmod"' in sentence
    assert "sesame" not in sentence


def test_a_sqlite_file_in_a_folder_that_is_not_there(on_sqlite: CommandLine) -> None:
    url = f"sqlite:///{on_sqlite.folder}/nowhere/x.db"
    sentence = on_sqlite.failure("app", "list", env={"DATABASE_URL": url})
    assert "DATABASE_URL must name a file in a folder that is there" in sentence


def test_a_file_that_is_no_database(on_sqlite: CommandLine) -> None:
    file = on_sqlite.folder / "x.db"
    file.write_text("This is a letter to my grandmother, " * 100)
    url = f"sqlite:///{file}"
    assert "not a database" in on_sqlite.failure("app", "list", env={"DATABASE_URL": url})


def test_a_database_in_which_the_user_may_make_no_tables(
    on_sqlite: CommandLine, postgres_url: str
) -> None:
    import psycopg
    from psycopg import sql

    # So named after the database, which is this test's own, for roles belong to the whole server.
    name = f"guest_of_{postgres_url.rpartition('/')[2].partition('?')[0]}"
    role, password = sql.Identifier(name), sql.Literal("sesame")
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(role, password))
        try:
            info = connection.info
            url = f"postgresql://{name}:sesame@{info.host}:{info.port}/{info.dbname}"
            sentence = on_sqlite.failure("serve", env={"DATABASE_URL": url})
        finally:
            connection.execute(sql.SQL("DROP ROLE {}").format(role))
    assert "permission denied for schema public" in sentence
    assert "OWNER TO" in sentence


def test_a_taken_port(on_sqlite: CommandLine) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        sentence = on_sqlite.failure("serve", env={"PORT": port})
    assert f"127.0.0.1 port {port}" in sentence
    assert "--port" in sentence
    # Nothing was begun.
    assert not (on_sqlite.folder / "data").exists()


@pytest.mark.parametrize("host", ["203.0.113.7", "no-such-host.invalid"])
def test_an_address_of_another_machine(on_sqlite: CommandLine, host: str) -> None:
    assert "set HOST to" in on_sqlite.failure("serve", env={"HOST": host})


def test_a_data_folder_that_cannot_be_written(on_sqlite: CommandLine) -> None:
    file = on_sqlite.folder / "file"
    file.write_text("")
    for folder in (file, file / "data"):
        sentence = on_sqlite.failure("serve", env={"HEARTBEAT_DATA_DIR": str(folder)})
        assert f"The data folder {folder} can't be written" in sentence
        assert "HEARTBEAT_DATA_DIR" in sentence


def test_tables_of_another_version(on_sqlite: CommandLine, sqlite_url: str) -> None:
    env = {"DATABASE_URL": sqlite_url}
    assert on_sqlite.run("db", "upgrade", env=env).returncode == 0
    _set_revision(sqlite_url, "0000_older")
    assert "heartbeat-central db upgrade" in on_sqlite.failure("app", "list", env=env)
    _set_revision(sqlite_url, "9999")
    for command in (["db", "upgrade"], ["serve"]):
        assert "use the version that brought them there" in on_sqlite.failure(*command, env=env)


def test_a_wrong_option_is_a_usage_error(on_sqlite: CommandLine) -> None:
    for arguments in (
        ["app", "add", "x"],
        ["app", "add", "x", "--interval", "5", "--cron", "@daily"],
        ["app", "add", "x", "--cron", "@daily", "--oncalendar", "daily"],
        ["app", "add", "x", "--interval", "5", "--timezone", "UTC"],
        ["serve", "--workers", "0"],
        ["serve", "--only", "everything"],
        ["apikey", "create", "--scope", "admin"],
        ["apikey", "revoke", "9" * 30],
        ["channel", "test", "9" * 30],
        ["app", "add", "x", "--interval", "5", "--channel", "9" * 30],
        ["nonsense"],
    ):
        done = on_sqlite.run(*arguments)
        assert done.returncode == 2
        assert "Traceback" not in done.stderr


def _set_revision(url: str, revision: str) -> None:
    import sqlite3

    with sqlite3.connect(Path(url.removeprefix("sqlite:///"))) as connection:
        connection.execute(
            "UPDATE alembic_version SET works_with = NULL, version_num = ?", (revision,)
        )
    connection.close()

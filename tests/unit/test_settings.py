"""Settings: what is read, what is refused and in which words, and that the documents keep step."""

import json
import os
import stat
import threading
from pathlib import Path

import pytest

from heartbeat_central.settings import (
    Settings,
    SettingsError,
    read_settings,
    resolve_secret_key,
    variables,
)

REPOSITORY = Path(__file__).parents[2]
LONG_KEY = "a-long-and-random-secret"


def refusal(env: dict[str, str], dotenv: Path | None = None) -> str:
    with pytest.raises(SettingsError) as caught:
        read_settings(env, dotenv)
    return str(caught.value)


def test_nothing_set_gives_the_defaults() -> None:
    settings = read_settings({})
    assert (settings.host, settings.port) == ("0.0.0.0", 5000)
    assert settings.base_url == "http://localhost:5000"
    assert settings.database_url == "sqlite:///data/heartbeat-central.db"
    assert settings.check_interval == 30
    assert settings.body_limit == 10_000
    assert settings.retention_days == 90
    assert settings.smtp_port == 587
    assert settings.twilio_api_url == "https://api.twilio.com"
    assert not settings.allow_private_targets
    assert not settings.is_production
    assert settings.trusted_proxies == ()


@pytest.mark.parametrize(
    ("variable", "text", "field", "value"),
    [
        ("PORT", "8080", "port", 8080),
        ("PORT", " 8080 ", "port", 8080),
        ("PORT", "", "port", 5000),  # empty is unset: a compose file passes on what it has not
        ("BASE_URL", "https://hb.example.org/", "base_url", "https://hb.example.org"),
        ("BASE_URL", "https://example.org/hb/", "base_url", "https://example.org/hb"),
        ("HEARTBEAT_ALLOW_PRIVATE_TARGETS", "true", "allow_private_targets", True),
        ("HEARTBEAT_ALLOW_PRIVATE_TARGETS", "0", "allow_private_targets", False),
        ("HEARTBEAT_DATA_DIR", "/srv/hb", "database_url", "sqlite:////srv/hb/heartbeat-central.db"),
        ("HEARTBEAT_BODY_LIMIT", "0", "body_limit", 0),
        ("DATABASE_URL", "postgres://u:p@h/n", "database_url", "postgres://u:p@h/n"),
        ("DATABASE_URL", "postgresql://h/n", "uses_sqlite", False),
        ("SMTP_FROM", "Alerts <hb@example.org>", "smtp_from", "Alerts <hb@example.org>"),
    ],
)
def test_a_value_is_read(variable: str, text: str, field: str, value: object) -> None:
    assert getattr(read_settings({variable: text}), field) == value


def test_trusted_proxies_are_addresses_and_networks() -> None:
    proxies = read_settings({"TRUSTED_PROXIES": "127.0.0.1, 10.1.2.3/8,::1,"}).trusted_proxies
    assert [str(proxy) for proxy in proxies] == ["127.0.0.1/32", "10.0.0.0/8", "::1/128"]


@pytest.mark.parametrize(
    ("env", "words"),
    [
        ({"PORT": "http"}, ["PORT", "'http'", "1 to 65535"]),
        ({"PORT": "0"}, ["PORT", "1 to 65535"]),
        ({"PORT": "65536"}, ["PORT", "1 to 65535"]),
        ({"HEARTBEAT_CHECK_INTERVAL": "0"}, ["HEARTBEAT_CHECK_INTERVAL", "1 to 3600"]),
        ({"HEARTBEAT_RETENTION_DAYS": "-1"}, ["HEARTBEAT_RETENTION_DAYS", "days from 1"]),
        ({"HEARTBEAT_BODY_LIMIT": "10kB"}, ["HEARTBEAT_BODY_LIMIT", "'10kB'", "bytes"]),
        ({"HEARTBEAT_ALLOW_PRIVATE_TARGETS": "maybe"}, ["true or false"]),
        ({"BASE_URL": "hb.example.org"}, ["BASE_URL", "https://heartbeat.example.org"]),
        ({"BASE_URL": "https://a.example/?q=1"}, ["BASE_URL", "web address"]),
        ({"TRUSTED_PROXIES": "*"}, ["TRUSTED_PROXIES", "10.0.0.0/8"]),
        ({"FLASK_ENV": "prod"}, ["FLASK_ENV", "development or production"]),
        ({"SMTP_FROM": "nobody"}, ["SMTP_FROM", "e-mail address"]),
        ({"SMTP_SERVER": "mail server"}, ["SMTP_SERVER", "mail server"]),
        ({"DATABASE_URL": "mysql://u:hidden@h/n"}, ["DATABASE_URL", "postgresql://user"]),
        ({"DATABASE_URL": "postgresql://u:p@hidden@h/n"}, ["DATABASE_URL", "%40"]),
        ({"DATABASE_URL": "sqlite:///:memory:"}, ["DATABASE_URL", "sqlite:///path/to/file.db"]),
        ({"ADMIN_EMAIL": "a@example.org"}, ["ADMIN_EMAIL", "without ADMIN_PASSWORD"]),
        ({"ADMIN_PASSWORD": "hidden"}, ["ADMIN_PASSWORD", "without ADMIN_EMAIL"]),
        ({"FLASK_ENV": "production"}, ["SECRET_KEY", "at least 16 characters"]),
        ({"FLASK_ENV": "production", "SECRET_KEY": "short"}, ["SECRET_KEY", "16 characters"]),
        ({"FLASK_ENV": "production", "SECRET_KEY": "your-secret-key-here"}, ["of your own"]),
        ({"HEARTBEAT_DATADIR": "x"}, ["HEARTBEAT_DATADIR", "did you mean HEARTBEAT_DATA_DIR?"]),
        ({"HEARTBEAT_FOO": "x"}, ["HEARTBEAT_FOO", "remove it"]),
        ({"HEARTBEAT_ZZZZZZZZZ": "x"}, ["HEARTBEAT_ZZZZZZZZZ", "remove it"]),
    ],
)
def test_a_wrong_value_is_refused_in_one_sentence(env: dict[str, str], words: list[str]) -> None:
    text = refusal(env)
    assert len(text.splitlines()) == 1
    assert all(word in text for word in words), text
    assert "hidden" not in text


def test_every_problem_is_told_at_once() -> None:
    assert len(refusal({"PORT": "x", "FLASK_ENV": "y", "HEARTBEAT_Z": "1"}).splitlines()) == 3


def test_production_accepts_a_key_of_ones_own() -> None:
    assert read_settings({"FLASK_ENV": "production", "SECRET_KEY": LONG_KEY}).is_production


def test_other_programs_variables_are_left_alone() -> None:
    read_settings({"PATH": "/bin", "POSTGRES_PASSWORD": "x", "FLASK_APP": "app"})


def test_kubernetes_variables_of_a_service_called_heartbeat_are_left_alone() -> None:
    read_settings(
        {
            "HEARTBEAT_CENTRAL_SERVICE_HOST": "10.0.0.1",
            "HEARTBEAT_CENTRAL_SERVICE_PORT_HTTP": "5000",
            "HEARTBEAT_CENTRAL_PORT": "tcp://10.0.0.1:5000",
            "HEARTBEAT_CENTRAL_PORT_5000_TCP_ADDR": "10.0.0.1",
        }
    )


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    dotenv = tmp_path / ".env"
    dotenv.write_text("PORT=1111\nHOST=127.0.0.1\n")
    settings = read_settings({"PORT": "2222"}, dotenv)
    assert (settings.port, settings.host) == (2222, "127.0.0.1")


def test_an_empty_variable_of_the_environment_unsets_the_files(tmp_path: Path) -> None:
    dotenv = tmp_path / ".env"
    dotenv.write_text("PORT=1111\n")
    assert read_settings({"PORT": ""}, dotenv).port == 5000


@pytest.mark.parametrize(
    ("line", "password"),
    [
        ("SMTP_PASSWORD=pa$${HOME}word", "pa$${HOME}word"),
        ("SMTP_PASSWORD='with # and space '", "with # and space "),
        ('export SMTP_PASSWORD="quoted"', "quoted"),
        ("SMTP_PASSWORD=plain # a comment", "plain"),
    ],
)
def test_a_password_in_the_file_is_taken_literally(
    tmp_path: Path, line: str, password: str
) -> None:
    dotenv = tmp_path / ".env"
    dotenv.write_text(f"\ufeff# settings\n{line}\n", encoding="utf-8")
    secret = read_settings({}, dotenv).smtp_password
    assert secret is not None
    assert secret.get_secret_value() == password


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"PROT=5000\n", ["PROT in", "did you mean PORT?"]),
        (b"port=5000\n", ["port in", "did you mean PORT?"]),  # names are case-sensitive
        (b"PORT=1\nwhat is this\n", ["Line 2", "NAME=value"]),
        (b"PORT\n", ["Line 1", "NAME=value"]),
        (b"SMTP_USERNAME=\xff\n", ["not UTF-8"]),
    ],
)
def test_a_wrong_file_is_refused_in_one_sentence(
    tmp_path: Path, content: bytes, words: list[str]
) -> None:
    dotenv = tmp_path / ".env"
    dotenv.write_bytes(content)
    text = refusal({}, dotenv)
    assert len(text.splitlines()) == 1
    assert all(word in text for word in words), text


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    folder = tmp_path / ".env"
    folder.mkdir()
    assert "can't be read (is a directory)" in refusal({}, folder)
    # Not even a look is allowed, as in a folder of another user.
    beyond = tmp_path / "name" / ".env"
    beyond.parent.symlink_to(beyond.parent)
    assert "can't be read (too many levels of symbolic links)" in refusal({}, beyond)


def test_a_missing_file_is_fine(tmp_path: Path) -> None:
    assert read_settings({}, tmp_path / ".env").port == 5000


def test_no_secret_shows_in_a_repr() -> None:
    secrets = {
        "SECRET_KEY": LONG_KEY,
        "DATABASE_URL": "postgresql://u:sesame@h/n",
        "SMTP_PASSWORD": "sesame",
        "TWILIO_AUTH_TOKEN": "sesame",
        "ADMIN_EMAIL": "a@example.org",
        "ADMIN_PASSWORD": "sesame",
    }
    settings = read_settings(secrets)
    for text in (repr(settings), str(settings), json.dumps(settings.model_dump(), default=str)):
        assert "sesame" not in text
        assert LONG_KEY not in text


def test_settings_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        read_settings({}).port = 1  # type: ignore[misc]


def test_settings_read_nothing_behind_the_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "1234")
    assert read_settings({}).port == 5000


def in_folder(folder: Path) -> Settings:
    return read_settings({"HEARTBEAT_DATA_DIR": str(folder)})


def test_the_secret_key_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    settings = in_folder(tmp_path / "new" / "data")
    key = resolve_secret_key(settings)
    assert len(key) >= 32
    assert resolve_secret_key(settings) == key
    file = settings.data_dir / "secret_key"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert os.listdir(settings.data_dir) == ["secret_key"]


def test_processes_that_start_at_once_agree_on_one_key(tmp_path: Path) -> None:
    settings, keys = in_folder(tmp_path), set[str]()
    start = threading.Barrier(8)

    def resolve() -> None:
        start.wait()
        keys.add(resolve_secret_key(settings))

    threads = [threading.Thread(target=resolve) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(keys) == 1


def test_a_given_secret_key_needs_no_folder(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    env = {"HEARTBEAT_DATA_DIR": str(blocked / "data"), "SECRET_KEY": LONG_KEY}
    assert resolve_secret_key(read_settings(env)) == LONG_KEY


@pytest.mark.parametrize("content", ["", "short\n"])
def test_a_damaged_key_file_is_not_replaced(tmp_path: Path, content: str) -> None:
    (tmp_path / "secret_key").write_text(content)
    with pytest.raises(SettingsError, match="backup"):
        resolve_secret_key(in_folder(tmp_path))
    assert (tmp_path / "secret_key").read_text() == content


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="HEARTBEAT_DATA_DIR") as caught:
        resolve_secret_key(in_folder(tmp_path / "file" / "data"))
    assert "not a directory" in str(caught.value)


def shown_default(default: object) -> str:
    if default in (None, ()):
        return ""
    return str(default).lower() if isinstance(default, bool) else str(default)


def test_env_example_lists_every_setting_with_its_default_and_help() -> None:
    lines = (REPOSITORY / ".env.example").read_text(encoding="utf-8").splitlines()
    rows = [(lines[at - 1], line) for at, line in enumerate(lines) if line and line[0] != "#"]
    assert rows == [
        (f"# {field.description}.", f"{name}={shown_default(field.default)}")
        for name, field in variables().items()
    ]


def test_env_example_works_as_it_stands() -> None:
    assert read_settings({}, REPOSITORY / ".env.example") == read_settings({})


def test_the_reference_lists_every_setting_with_its_default_and_help() -> None:
    text = (REPOSITORY / "docs/reference/settings.md").read_text(encoding="utf-8")
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith("| `")
    ]
    assert [name for name, *_ in rows] == [f"`{name}`" for name in variables()]
    for (_, default, what), field in zip(rows, variables().values(), strict=True):
        shown = shown_default(field.default)
        assert default == (f"`{shown}`" if shown else "(unset)")
        assert what.startswith(f"{field.description}.")

"""The settings themselves: one row each with variable, default, help and what its value must be."""

from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

DATABASE_FILE = "heartbeat-central.db"
_SQLITE = "sqlite:///"


def _web_address(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError
    if any(character.isspace() for character in value):
        raise ValueError
    _ = parts.port  # raises ValueError for a port that is no number
    return value.rstrip("/")


def _address_to_call(value: str) -> str:
    # With its query, and to the last character: what is called may tell by them who calls.
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.fragment:
        raise ValueError
    if any(character.isspace() for character in value):
        raise ValueError
    _ = parts.port  # raises ValueError for a port that is no number
    return value


def _database_address(value: str) -> str:
    if not value.startswith((_SQLITE, "postgresql://", "postgres://")):
        raise ValueError
    # Else all that follows the first @, the rest of the password, would count as the host and be
    # shown in messages.
    if urlsplit(value).netloc.count("@") > 1:
        raise ValueError
    # In memory, each connection would have a database of its own, and none outlives a restart.
    if value.removeprefix(_SQLITE) in ("", ":memory:"):
        raise ValueError
    return value


def _mail_address(value: str) -> str:
    local, _, domain = value.rpartition("@")
    if not local or not domain or any(character.isspace() for character in domain):
        raise ValueError
    return value


def _networks(value: str) -> tuple[IPv4Network | IPv6Network, ...]:
    # strict=False: people write 172.17.0.1/16 for the network that holds this address.
    return tuple(
        ip_network(part.strip(), strict=False) for part in value.split(",") if part.strip()
    )


def _one_word(value: str) -> str:
    if any(character.isspace() for character in value):
        raise ValueError
    return value


WebAddress = Annotated[str, BeforeValidator(_web_address)]
AddressToCall = Annotated[SecretStr, BeforeValidator(_address_to_call)]
DatabaseAddress = Annotated[SecretStr, BeforeValidator(_database_address)]
MailAddress = Annotated[str, BeforeValidator(_mail_address)]
Networks = Annotated[tuple[IPv4Network | IPv6Network, ...], BeforeValidator(_networks)]
HostName = Annotated[str, BeforeValidator(_one_word)]
Folder = Annotated[Path, BeforeValidator(lambda value: Path(value).expanduser())]


def _setting(
    variable: str,
    default: Any,
    text: str,
    *,
    must: str,
    secret: bool = False,
    **limits: Any,
) -> Any:
    """Return the field that reads `variable`; `must` completes "PORT is 'x' but must be …"."""
    return Field(
        default,
        alias=variable,
        description=text,
        repr=not secret,
        json_schema_extra={"must": must, "secret": secret},
        **limits,
    )


class Settings(BaseSettings):
    """All that an operator can choose. Made by `read_settings` alone."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", validate_default=False, hide_input_in_errors=True
    )

    secret_key: SecretStr | None = _setting(
        "SECRET_KEY",
        None,
        "Signs sessions and encrypts the secrets of channels, the same on every node; made and "
        "kept in the data folder when unset",
        must="a long random text; make one with "
        "`python -c 'import secrets; print(secrets.token_urlsafe(32))'`",
        secret=True,
    )
    database: DatabaseAddress | None = _setting(
        "DATABASE_URL",
        None,
        "Where everything is stored, e.g. postgresql://user:password@host:5432/name; "
        "SQLite in the data folder when unset",
        must="like postgresql://user:password@host:5432/name (an @ in the password written %40) "
        "or sqlite:///path/to/file.db",
        secret=True,
    )
    data_dir: Folder = _setting(
        "HEARTBEAT_DATA_DIR",
        Path("data"),
        "Folder for the SQLite database and the secret key; made when missing",
        must="a folder that can be written",
    )
    host: HostName = _setting(
        "HOST",
        "0.0.0.0",  # noqa: S104 - applications elsewhere call in, and containers publish it
        "Address to listen on; 127.0.0.1 for this machine alone",
        must="an address of this machine, or 0.0.0.0 for all of them",
    )
    port: int = _setting(
        "PORT",
        5000,
        "Port to listen on",
        must="a number from 1 to 65535",
        ge=1,
        le=65535,
    )
    base_url_given: WebAddress | None = _setting(
        "BASE_URL",
        None,
        "Address under which people and applications reach this service, used in links; "
        "http://localhost:PORT when unset",
        must="a web address such as https://heartbeat.example.org",
    )
    trusted_proxies: Networks = _setting(
        "TRUSTED_PROXIES",
        (),
        "Addresses or networks of reverse proxies, separated by commas, whose X-Forwarded headers "
        "are believed",
        must="addresses or networks separated by commas, e.g. 127.0.0.1,10.0.0.0/8",
    )
    check_interval: int = _setting(
        "HEARTBEAT_CHECK_INTERVAL",
        30,
        "Longest time in seconds between two looks for missed heartbeats; a deadline is noticed "
        "when it passes, so this is only a safety net",
        must="a number of seconds from 1 to 3600",
        ge=1,
        le=3600,
    )
    body_limit: int = _setting(
        "HEARTBEAT_BODY_LIMIT",
        10_000,
        "Bytes kept of the body of a heartbeat; the rest is cut",
        must="a number of bytes from 0 to 1048576",
        ge=0,
        le=1_048_576,
    )
    retention_days: int = _setting(
        "HEARTBEAT_RETENTION_DAYS",
        90,
        "Days that the history of heartbeats is kept",
        must="a number of days from 1 to 36500",
        ge=1,
        le=36_500,
    )
    allow_private_targets: bool = _setting(
        "HEARTBEAT_ALLOW_PRIVATE_TARGETS",
        False,
        "Whether channels may reach private addresses, such as a chat server in your own network",
        must="true or false",
    )
    reach_check_url: WebAddress | None = _setting(
        "HEARTBEAT_REACH_CHECK_URL",
        None,
        "Asked before many applications are told as down together: while it does not answer, the "
        "cause may be this service's own network, and the alert waits up to two minutes",
        must="a web address such as https://example.com",
    )
    watchdog_url: AddressToCall | None = _setting(
        "WATCHDOG_URL",
        None,
        "Called every minute while all is well here, such as a heartbeat URL of another Heartbeat "
        "Central; its silence tells of ours",
        must="a web address such as https://other.example.org/heartbeat/UUID",
        secret=True,
    )
    smtp_server: HostName | None = _setting(
        "SMTP_SERVER",
        None,
        "Mail server for e-mail channels that name none",
        must="the name or address of a mail server, without port",
    )
    smtp_port: int = _setting(
        "SMTP_PORT",
        587,
        "Its port: 587 (STARTTLS), 465 (TLS) or 25",
        must="a number from 1 to 65535",
        ge=1,
        le=65535,
    )
    smtp_username: str | None = _setting(
        "SMTP_USERNAME", None, "Its user name, if it wants one", must="a user name"
    )
    smtp_password: SecretStr | None = _setting(
        "SMTP_PASSWORD", None, "Its password", must="a password", secret=True
    )
    smtp_from: MailAddress | None = _setting(
        "SMTP_FROM",
        None,
        "Sender of alert mails; SMTP_USERNAME when unset",
        must="an e-mail address such as heartbeat@example.org",
    )
    twilio_account_sid: str | None = _setting(
        "TWILIO_ACCOUNT_SID", None, "Twilio account for SMS channels that name none", must="a SID"
    )
    twilio_auth_token: SecretStr | None = _setting(
        "TWILIO_AUTH_TOKEN", None, "Its token", must="a token", secret=True
    )
    twilio_from_number: str | None = _setting(
        "TWILIO_FROM_NUMBER", None, "Its sending number, e.g. +15551234567", must="a phone number"
    )
    twilio_api_url: WebAddress = _setting(
        "TWILIO_API_URL",
        "https://api.twilio.com",
        "Address of Twilio's API, or of one that speaks like it",
        must="a web address such as https://api.twilio.com",
    )
    admin_email: MailAddress | None = _setting(
        "ADMIN_EMAIL",
        None,
        "Makes the first account at the first start, together with ADMIN_PASSWORD",
        must="an e-mail address such as you@example.org",
    )
    admin_password: SecretStr | None = _setting(
        "ADMIN_PASSWORD", None, "Password of that account", must="a password", secret=True
    )
    flask_env: Literal["development", "production"] = _setting(
        "FLASK_ENV",
        "development",
        "`production` demands a SECRET_KEY of your own",
        must="development or production",
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take the values that `read_settings` gives and nothing behind its back."""
        return (init_settings,)

    @property
    def base_url(self) -> str:
        """Return the address that people reach this service under, without a slash at its end."""
        return self.base_url_given or f"http://localhost:{self.port}"

    @property
    def database_url(self) -> str:
        """Return where everything is stored. May hold a password: never log it."""
        if self.database is not None:
            return self.database.get_secret_value()
        return f"{_SQLITE}{self.data_dir / DATABASE_FILE}"

    @property
    def uses_sqlite(self) -> bool:
        """Return whether the database is a file of this machine."""
        return self.database_url.startswith(_SQLITE)

    @property
    def sqlite_file(self) -> Path | None:
        """Return the file that holds everything; None on PostgreSQL."""
        if not self.uses_sqlite:
            return None
        return Path(self.database_url.removeprefix(_SQLITE).partition("?")[0])

    @property
    def is_production(self) -> bool:
        """Return whether the operator said that this is no trial."""
        return self.flask_env == "production"


def variables() -> Mapping[str, FieldInfo]:
    """Return every setting by the name of its variable, in the order of the documentation."""
    return {str(field.alias): field for field in Settings.model_fields.values()}

"""Fixtures for all tests. What is slow to start is started by the first test that asks for it."""

import contextlib
import os
import shutil
import signal
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support import browser, postgres
from tests.support.kept_database import KeptDatabase
from tests.support.launcher import LAUNCHER
from tests.support.missing import missing
from tests.support.schedule import long_first

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    from heartbeat_central.storage.engine import Database

_RUN = pytest.StashKey[postgres.Run]()


def pytest_configure(config: pytest.Config) -> None:
    # Workers inherit the controller's run through the environment.
    if not hasattr(config, "workerinput"):
        config.stash[_RUN] = postgres.Run()
    # A shell that starts a run in the background has it ignore Ctrl-C, and all that the tests start.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_unconfigure(config: pytest.Config) -> None:
    LAUNCHER.close()
    postgres.drop_templates()
    if _RUN in config.stash:
        config.stash[_RUN].close()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    long_first(items)
    for item in items:
        names = getattr(item, "fixturenames", ())
        if "chromium" in names:
            item.add_marker(pytest.mark.browser)
        callspec = getattr(item, "callspec", None)
        given = callspec.params if callspec else {}
        # These fixtures list the two databases; their parameter tells which one this test uses.
        listed = ("database_url", "database", "shared_database")
        parameter = next((given[name] for name in listed if name in given), None)
        if parameter == "postgresql" or ("postgres_url" in names and parameter is None):
            item.add_marker(pytest.mark.postgres)


@pytest.fixture(scope="session")
def postgres_server() -> str:
    """The address of a running PostgreSQL server, shared by the whole run. Make no tables there."""
    try:
        return postgres.server_url()
    except postgres.PostgresMissing as reason:
        missing(str(reason))


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """An empty PostgreSQL database of this test's own, dropped afterwards."""
    with postgres.fresh_database() as url:
        yield url


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """A SQLite database of this test's own; the file isn't there yet."""
    return f"sqlite:///{tmp_path / 'heartbeat.sqlite3'}"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """Each of the two databases in turn."""
    name = {"sqlite": "sqlite_url", "postgresql": "postgres_url"}[request.param]
    return str(request.getfixturevalue(name))


@pytest.fixture(scope="module")
def chromium() -> Iterator["Browser"]:
    """A running headless Chromium, one a worker."""
    path = browser.find_chromium()
    if path is None:
        missing("no Chromium found: install Debian's chromium, or set CHROMIUM to one")
    with browser.chromium(path) as running:
        yield running


@pytest.fixture
def page(chromium: "Browser") -> Iterator["Page"]:
    """A page in a browser context of its own: no cookies, nothing cached."""
    context = chromium.new_context(locale="en-GB", timezone_id="UTC")
    try:
        yield context.new_page()
    finally:
        context.close()


@pytest.fixture(autouse=True, scope="session")
def _clean_environment() -> Iterator[None]:
    """Keep the developer's own settings out of the tests."""
    ours = (
        *("HEARTBEAT_", "SMTP_", "TWILIO_", "ADMIN_"),
        *("DATABASE_URL", "SECRET_KEY", "BASE_URL", "WATCHDOG_URL"),
    )
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(ours):
                patch.delenv(name)
        yield


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with its tables in place, to be copied."""
    file = tmp_path_factory.mktemp("migrated") / "heartbeat.sqlite3"
    migrated(f"sqlite:///{file}")
    return file


@pytest.fixture(scope="session")
def kept_database(postgres_server: str) -> Iterator[KeptDatabase]:
    """A PostgreSQL database with its tables in place, lent to one test after another."""
    from heartbeat_central.storage.tables import metadata

    template = postgres.template_database("migrated", migrated)
    with KeptDatabase(template, [table.name for table in reversed(metadata.sorted_tables)]) as kept:
        yield kept


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> Iterator["Database"]:
    """Each of the two databases in turn, its tables in place and without a row."""
    from heartbeat_central.storage.engine import open_database

    with contextlib.ExitStack() as stack:
        if request.param == "sqlite":
            url = str(request.getfixturevalue("sqlite_url"))
            shutil.copy(request.getfixturevalue("migrated_file"), url.removeprefix("sqlite:///"))
        else:
            kept: KeptDatabase = request.getfixturevalue("kept_database")
            url = stack.enter_context(kept.lend())
        opened = open_database(url)
        stack.callback(opened.close)
        yield opened


def migrated(url: str) -> None:
    """Make the tables in an empty database, with room for today's heartbeats."""
    from heartbeat_central.services.prune_history import make_room
    from heartbeat_central.storage.engine import open_database
    from heartbeat_central.storage.migrate import upgrade

    database = open_database(url)
    try:
        upgrade(database)
        make_room(database, now=datetime.now(UTC))
    finally:
        database.close()


@pytest.fixture
def anyio_backend() -> str:
    """Asynchronous tests run on asyncio, as the service does."""
    return "asyncio"

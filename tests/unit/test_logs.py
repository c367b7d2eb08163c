"""Log lines: one JSON object a line, or text for people, and never a secret."""

import io
import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import structlog

from heartbeat_central.logs import configure_logging


@pytest.fixture(autouse=True)
def _undone() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers, root.level = handlers, level
    logging.captureWarnings(False)
    structlog.reset_defaults()


@pytest.fixture
def stream() -> io.StringIO:
    stream = io.StringIO()
    configure_logging(stream)
    return stream


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_an_event_is_one_json_object_with_a_utc_time(stream: io.StringIO) -> None:
    structlog.get_logger("heartbeat_central.x").info("channel_tested", channel_id=3)
    (line,) = lines(stream)
    assert (line["event"], line["channel_id"], line["level"]) == ("channel_tested", 3, "info")
    assert datetime.fromisoformat(line["timestamp"]).tzinfo == UTC


@pytest.mark.parametrize(
    "fields",
    [
        {"password": "sesame"},
        {"SMTP_PASSWORD": "sesame"},
        {"Authorization": "Bearer sesame"},
        {"api_key": "sesame"},
        {"auth_token": "sesame"},
        {"webhook_url": "https://chat.example/sesame"},
        {"config": {"token": "sesame", "nested": [{"secret": "sesame"}]}},
        {"url": "postgresql://user:sesame@db.example/x"},
    ],
)
@pytest.mark.parametrize("human", [True, False])
def test_a_secret_is_masked(fields: dict[str, Any], human: bool) -> None:
    stream = io.StringIO()
    configure_logging(stream, human=human)
    structlog.get_logger("heartbeat_central.x").info("something_done", **fields)
    assert "something_done" in stream.getvalue()
    assert "sesame" not in stream.getvalue()
    assert "***" in stream.getvalue()


def test_an_id_or_a_truth_value_is_no_secret(stream: io.StringIO) -> None:
    log = structlog.get_logger("heartbeat_central.x")
    log.info("key_used", api_key_id=7, token_valid=True)
    (line,) = lines(stream)
    assert (line["api_key_id"], line["token_valid"]) == (7, True)


def test_a_password_in_a_traceback_is_masked(stream: io.StringIO) -> None:
    try:
        raise ValueError("postgresql://user:sesame@db.example/x")
    except ValueError:
        structlog.get_logger("heartbeat_central.x").exception("database_lost")
        logging.getLogger("other").exception("it failed: %s", "here")
    ours, other = lines(stream)
    assert "ValueError" in ours["exception"]
    assert "ValueError" in other["exception"]
    assert other["event"] == "it failed: here"
    assert "sesame" not in stream.getvalue()


@pytest.mark.parametrize(
    ("logger", "level", "shown"),
    [
        ("heartbeat_central.monitor.jobs", logging.INFO, True),
        ("heartbeat_central.monitor.jobs", logging.DEBUG, False),
        ("apscheduler.scheduler", logging.INFO, False),
        ("apscheduler.scheduler", logging.ERROR, True),
        ("alembic.runtime.migration", logging.INFO, False),
        ("uvicorn.access", logging.INFO, False),  # would tell every application's uuid
        ("uvicorn.error", logging.ERROR, True),
        ("urllib3.connectionpool", logging.WARNING, False),  # would tell the URL of a webhook
    ],
)
def test_which_loggers_are_heard(stream: io.StringIO, logger: str, level: int, shown: bool) -> None:
    logging.getLogger(logger).log(level, "hello")
    assert bool(stream.getvalue()) == shown


def test_configuring_twice_says_everything_once() -> None:
    first, second = io.StringIO(), io.StringIO()
    configure_logging(first)
    configure_logging(second)
    structlog.get_logger("heartbeat_central.x").info("started")
    assert first.getvalue() == ""
    assert len(lines(second)) == 1


def test_quiet_leaves_out_what_is_no_warning() -> None:
    stream = io.StringIO()
    configure_logging(stream, quiet=True)
    log = structlog.get_logger("heartbeat_central.x")
    log.info("small_talk")
    log.warning("lease_lost")
    assert [line["event"] for line in lines(stream)] == ["lease_lost"]

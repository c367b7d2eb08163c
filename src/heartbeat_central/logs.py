"""Structured logs on stderr: for people on a terminal, one JSON object a line otherwise.

An event is a constant name with fields: `log.info("channel_tested", channel_id=3)`. The standard
library's loggers go the same way. A field that looks like a secret is masked, and so is a password
inside a URL, wherever it stands.
"""

import logging
import re
import sys
from collections.abc import Mapping
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

MASK = "***"
_SECRET = re.compile(
    r"(passw|token|secret|authorization|api_?key|cookie|credential|webhook_url|private_key)"
    r"(?!.*_id$)",  # an id names a secret and is none
    re.I,
)
_MACHINERY = ("_record", "exc_info", "positional_args")
"""Fields that structlog and the standard library pass along for themselves."""
_PASSWORD_IN_URL = re.compile(r"(?<=://)[^\s/@:]*:[^\s/@]*(?=@)")

LEVELS: Mapping[str, int] = {
    "heartbeat_central": logging.INFO,
    # Their warnings quote URLs, and the URL of a chat's webhook is its secret.
    "apprise": logging.ERROR,
    "urllib3": logging.ERROR,
    # It warns of each run that a longer one makes superfluous, which is how our jobs are rung for.
    "apscheduler": logging.ERROR,
    # A line a request would tell every application's uuid, which is its capability.
    "uvicorn.access": logging.CRITICAL,
}
"""Levels of loggers that differ from the root's, which is WARNING."""


def configure_logging(
    stream: TextIO | None = None, *, human: bool | None = None, quiet: bool = False
) -> None:
    """Send every log line to `stream` (stderr when None).

    `human` chooses the shape; None means: for people when the stream is a terminal, else JSON.
    `quiet` leaves out what is no warning, for commands that say themselves what they did.
    """
    stream = sys.stderr if stream is None else stream
    if human is None:
        human = stream.isatty()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_shared(),
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *_rendering(human, colours=human and stream.isatty()),
                _mask_urls,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    for name, level in LEVELS.items():
        logging.getLogger(name).setLevel(level)
    if quiet:
        logging.getLogger("heartbeat_central").setLevel(logging.WARNING)
    logging.captureWarnings(True)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_shared(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def mask_secrets(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Return the event with every field masked whose name looks like a secret's."""
    return {key: _masked(key, value) for key, value in event.items()}


def _masked(key: object, value: Any) -> Any:
    if key in _MACHINERY:
        return value
    if isinstance(key, str) and _SECRET.search(key) and not isinstance(value, bool | None):
        return MASK
    if isinstance(value, Mapping):
        return {inner: _masked(inner, it) for inner, it in value.items()}
    if isinstance(value, list | tuple):
        return [_masked(None, it) for it in value]
    return value


def _mask_urls(_logger: WrappedLogger, _method: str, line: Any) -> Any:
    return _PASSWORD_IN_URL.sub(MASK, line)


def _shared() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        mask_secrets,
    ]


def _rendering(human: bool, *, colours: bool) -> list[Processor]:
    if human:
        plain = structlog.dev.plain_traceback
        return [structlog.dev.ConsoleRenderer(colors=colours, exception_formatter=plain)]
    return [
        structlog.processors.format_exc_info,
        structlog.processors.UnicodeDecoder(),
        structlog.processors.JSONRenderer(default=str),
    ]

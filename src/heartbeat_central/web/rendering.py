"""What every template may use: words for times, addresses of static files, who is signed in."""

import hashlib
import re
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from flask import Flask, request, url_for
from markupsafe import Markup, escape

from heartbeat_central.domain.state import Shown
from heartbeat_central.web import words
from heartbeat_central.web.context import context
from heartbeat_central.web.session import user_or_none

_STATIC = Path(__file__).parent / "static"

STATUSES: dict[str, tuple[str, str]] = {
    Shown.DOWN: ("Down", "exclamation-octagon-fill"),
    Shown.LATE: ("Late", "hourglass-split"),
    Shown.RUNNING: ("Running", "arrow-repeat"),
    Shown.UP: ("Up", "check-circle-fill"),
    Shown.NEW: ("New", "circle"),
    Shown.PAUSED: ("Paused", "pause-circle-fill"),
}
"""The word and the icon of each status, the most pressing first."""

_CHANNEL_ICONS = {
    "email": "envelope",
    "slack": "slack",
    "discord": "discord",
    "sms": "chat-dots",
    "webhook": "braces",
    "apprise": "megaphone",
}


def prepare_templates(app: Flask) -> None:
    """Give the templates their filters and globals."""
    app.jinja_env.trim_blocks = True
    app.jinja_env.lstrip_blocks = True
    app.jinja_env.filters.update(
        span=words.span,
        absolute=words.absolute,
        schedule=words.schedule_words,
        with_code=with_code,
        reason=lambda reason: _REASONS.get(str(reason), str(reason)),
    )
    app.jinja_env.globals.update(
        asset=asset,
        statuses=STATUSES,
        channel_icon=lambda type_: _CHANNEL_ICONS.get(type_, "plug"),
    )
    app.context_processor(_of_this_request)


def asset(name: str) -> str:
    """Return the address of a static file, which changes with its content."""
    return url_for("web.static", filename=name, v=_digest(name))


def with_code(text: str) -> Markup:
    """Return a text of ours or of a plugin as HTML, in which what stands in backticks is code."""
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if place % 2 else escape(part)
        for place, part in enumerate(re.split("`([^`]+)`", text))
    )


def _of_this_request() -> dict[str, Any]:
    now = context().clock()

    def relative(moment: datetime) -> str:
        return words.relative(moment, now)

    return {
        "user": user_or_none(),
        "now": now,
        "relative": relative,
        "base_url": context().base_url,
        "section": request.path.split("/")[1],
    }


@lru_cache(maxsize=64)
def _digest(name: str) -> str:
    return hashlib.sha256((_STATIC / name).read_bytes()).hexdigest()[:12]


_REASONS = {
    "missed": "No heartbeat came",
    "failed": "The application reported a failure",
    "unfinished": "A run started and did not finish",
    "unverified": "Not heard from; Heartbeat Central was interrupted too",
}

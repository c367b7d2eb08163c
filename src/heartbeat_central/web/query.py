"""What addresses carry: cursors and ids. Nonsense means the first page, never an error."""

import base64
import binascii
from datetime import UTC, datetime, timedelta

from flask import request
from werkzeug.routing import BaseConverter

from heartbeat_central.services.read_history import Position

LARGEST_ID = 2**63 - 1
"""What a key of the database can hold."""
ID = "id"
"""The name of IdConverter in routes."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class IdConverter(BaseConverter):
    """An id in a route. What no key can be is the id of nothing, so that it is not found either."""

    regex = r"\d{1,19}"

    def to_python(self, value: str) -> int:
        """Return the id; 0, which nothing has, for one that the database can't hold."""
        number = int(value)
        return number if number <= LARGEST_ID else 0


def text_of(name: str) -> str:
    """Return a query parameter without NUL, which PostgreSQL can't compare; empty when not given."""
    return request.args.get(name, "").replace("\x00", "").strip()[:500]


def id_of(name: str) -> int | None:
    """Return an id from the query, None when there is none or it can't be one."""
    text = request.args.get(name, "")
    if text.isascii() and text.isdigit() and 0 < len(text) < 20 and int(text) <= LARGEST_ID:
        return int(text)
    return None


def position_of(name: str) -> Position | None:
    """Return where a page of history begins, None for the first page."""
    text = request.args.get(name, "")
    try:
        decoded = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode("ascii")
        microseconds, last_id = (int(part) for part in decoded.split("."))
        if not 0 <= last_id <= LARGEST_ID:
            return None
        return _EPOCH + timedelta(microseconds=microseconds), last_id
    except (binascii.Error, ValueError, OverflowError):
        return None


def cursor(moment: datetime, last_id: int) -> str:
    """Return what `position_of` reads."""
    text = f"{(moment - _EPOCH) // _MICROSECOND}.{last_id}"
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

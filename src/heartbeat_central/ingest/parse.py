"""From an HTTP request to a Signal. Whatever the body holds, it never costs the heartbeat."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from urllib.parse import parse_qs
from uuid import UUID

from heartbeat_central.domain.errors import Invalid
from heartbeat_central.domain.signal import Signal, SignalKind

LONGEST_PATH = 64
LONGEST_USER_AGENT = 256

_KINDS: Mapping[str, tuple[SignalKind, int | None]] = {
    "": (SignalKind.SUCCESS, None),
    "start": (SignalKind.START, None),
    "fail": (SignalKind.FAIL, None),
    "log": (SignalKind.LOG, None),
    "0": (SignalKind.SUCCESS, 0),
    **{str(status): (SignalKind.FAIL, status) for status in range(1, 256)},
}
"""The path after the uuid. Exit status 0 is a success, 1-255 are failures."""


@dataclass(frozen=True, slots=True)
class Target:
    """What the path alone says."""

    uuid: UUID
    kind: SignalKind
    exit_status: int | None


def parse_path(path: str) -> Target | None:
    """Return the target of `/heartbeat/{uuid}[/suffix][/]`, None when the path is none."""
    return _known_path(path) if len(path) <= LONGEST_PATH else None


@lru_cache(maxsize=32_768)
def _known_path(path: str) -> Target | None:
    # Remembered, because the same applications call again and again.
    uuid_text, _, suffix = path.removeprefix("/heartbeat/").removesuffix("/").partition("/")
    known = _KINDS.get(suffix)
    # The canonical form only, in any case: UUID() alone also takes braces, urn: and no dashes.
    if known is None or len(uuid_text) != 36:
        return None
    try:
        uuid = UUID(uuid_text)
    except ValueError:
        return None
    if str(uuid) != uuid_text.lower():
        return None
    return Target(uuid, *known)


def parse_signal(
    target: Target,
    *,
    method: str,
    query: bytes,
    body: bytes,
    body_limit: int,
    user_agent: str | None,
    remote_address: str | None,
    received_at: datetime,
) -> Signal:
    """Return the signal. The body is cut to `body_limit` bytes; `?msg=` stands in for a missing one.

    Raises Invalid on `rid` when it is given and is no UUID.
    """
    rid = None
    if query:
        # Bytes that are no UTF-8 come through as lone surrogates, and back into the same bytes.
        values = parse_qs(
            query.decode("utf-8", "surrogateescape"),
            keep_blank_values=True,
            errors="surrogateescape",
        )
        rid = _rid(values.get("rid"))
        if not body and values.get("msg"):
            body = values["msg"][0].encode("utf-8", "surrogateescape")
    return Signal(
        uuid=target.uuid,
        kind=target.kind,
        exit_status=target.exit_status,
        received_at=received_at,
        rid=rid,
        body=body[:body_limit] or None,
        body_size=len(body),
        method=method,
        remote_address=remote_address,
        user_agent=_printable(user_agent),
    )


def _rid(given: list[str] | None) -> UUID | None:
    if given is None:
        return None
    try:
        return UUID(given[0])
    except ValueError as error:
        raise Invalid.one(
            "rid", "must be a UUID such as 0b1f5f3e-8c1d-4c6e-9a52-3f1f0a7f5d11"
        ) from error


def _printable(user_agent: str | None) -> str | None:
    # PostgreSQL can't store U+0000.
    return None if user_agent is None else user_agent[:LONGEST_USER_AGENT].replace("\x00", "")

"""From an HTTP request to a signal."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heartbeat_central.domain.errors import Invalid
from heartbeat_central.domain.signal import Signal, SignalKind
from heartbeat_central.ingest.parse import Target, parse_path, parse_signal

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
TEXT = "0b1f5f3e-8c1d-4c6e-9a52-3f1f0a7f5d11"
APPLICATION = UUID(TEXT)


@pytest.mark.parametrize(
    ("path", "kind", "exit_status"),
    [
        (f"/heartbeat/{TEXT}", SignalKind.SUCCESS, None),
        (f"/heartbeat/{TEXT}/", SignalKind.SUCCESS, None),
        (f"/heartbeat/{TEXT.upper()}", SignalKind.SUCCESS, None),
        (f"/heartbeat/{TEXT}/start", SignalKind.START, None),
        (f"/heartbeat/{TEXT}/fail", SignalKind.FAIL, None),
        (f"/heartbeat/{TEXT}/log", SignalKind.LOG, None),
        (f"/heartbeat/{TEXT}/0", SignalKind.SUCCESS, 0),
        (f"/heartbeat/{TEXT}/1", SignalKind.FAIL, 1),
        (f"/heartbeat/{TEXT}/255", SignalKind.FAIL, 255),
    ],
)
def test_reads_the_path(path: str, kind: SignalKind, exit_status: int | None) -> None:
    assert parse_path(path) == Target(APPLICATION, kind, exit_status)


@pytest.mark.parametrize(
    "path",
    [
        "/heartbeat/",
        "/heartbeat/not-a-uuid",
        f"/heartbeat/{TEXT}x",
        f"/heartbeat/{TEXT.replace('-', '')}",
        f"/heartbeat/{{{TEXT}}}",
        f"/heartbeat/urn:uuid:{TEXT}",
        f"/heartbeat/{'0' * 36}",
        f"/heartbeat/{TEXT}/256",
        f"/heartbeat/{TEXT}/-1",
        f"/heartbeat/{TEXT}/01",
        f"/heartbeat/{TEXT}/stop",
        f"/heartbeat/{TEXT}/start/again",
    ],
)
def test_any_other_path_is_no_application(path: str) -> None:
    assert parse_path(path) is None


@given(st.text(max_size=60))
def test_no_path_raises(path: str) -> None:
    parse_path(f"/heartbeat/{path}")


def parsed(**given: Any) -> Signal:
    request: dict[str, Any] = {
        "method": "POST",
        "query": b"",
        "body": b"",
        "body_limit": 10,
        "user_agent": "curl/8",
        "remote_address": "127.0.0.1",
        "received_at": NOW,
    }
    return parse_signal(Target(APPLICATION, SignalKind.SUCCESS, None), **{**request, **given})


def test_cuts_a_long_body_and_remembers_its_size() -> None:
    signal = parsed(body=b"x" * 25)
    assert (signal.body, signal.body_size) == (b"x" * 10, 25)


@pytest.mark.parametrize("body", [b"\xff\xfe\x00", b"\x00", "größe".encode("latin-1")])
def test_keeps_bytes_that_are_no_text(body: bytes) -> None:
    assert parsed(body=body).body == body


def test_msg_stands_in_for_a_missing_body() -> None:
    assert parsed(query=b"msg=12%20files").body == b"12 files"
    assert parsed(query=b"msg=no", body=b"yes").body == b"yes"
    assert parsed(query=b"msg=%ff").body is not None
    assert parsed().body is None


def test_rid_pairs_runs() -> None:
    assert parsed(query=f"rid={TEXT}".encode()).rid == APPLICATION


@pytest.mark.parametrize("rid", ["", "1", "not-a-uuid", "%00"])
def test_a_rid_that_is_no_uuid_is_refused_by_name(rid: str) -> None:
    with pytest.raises(Invalid, match="rid: must be a UUID"):
        parsed(query=f"rid={rid}".encode())


def test_a_user_agent_is_cut_and_holds_no_nul() -> None:
    assert parsed(user_agent="a\x00b" + "c" * 300).user_agent == "ab" + "c" * 253
    assert parsed(user_agent=None).user_agent is None


@given(st.binary(max_size=100), st.binary(max_size=100))
def test_whatever_the_query_and_body_hold_a_signal_or_invalid_comes_back(
    query: bytes, body: bytes
) -> None:
    try:
        parsed(query=query, body=body)
    except Invalid as invalid:
        named = [error.field for error in invalid.errors]
    else:
        named = ["rid"]
    assert named == ["rid"]

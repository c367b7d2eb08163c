"""A damaged, cut or foreign file is refused with the reason, before anything is changed."""

import gzip
import io
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from heartbeat_central.domain.errors import BackupRefused
from heartbeat_central.services.restore_backup import Contents, inspect_backup
from tests.support.backups import Sample


@pytest.fixture
def backup(sample: Sample) -> bytes:
    return sample.backup


def read(backup: bytes) -> Contents:
    """Judge a file as `restore` does before it looks at the database."""
    return inspect_backup(io.BytesIO(backup), [], on_progress=lambda _: None)


def packed(content: bytes) -> bytes:
    return gzip.compress(content, mtime=0)


def test_a_whole_backup_is_accepted(backup: bytes) -> None:
    assert read(backup).rows["applications"] == 7


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_a_flipped_bit_anywhere_is_found(backup: bytes, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, 8 * len(backup) - 1))
    damaged = bytearray(backup)
    damaged[place // 8] ^= 1 << place % 8
    try:
        contents = read(bytes(damaged))
    except BackupRefused:
        return
    # A few bits mean nothing: some of gzip's header, and those that fill its last byte of data.
    assert contents == read(backup)


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_a_flipped_bit_in_the_content_is_found(backup: bytes, data: st.DataObject) -> None:
    """As by something that packed the damaged content anew: gzip has no reason to complain."""
    content = bytearray(gzip.decompress(backup))
    place = data.draw(st.integers(0, 8 * len(content) - 1))
    content[place // 8] ^= 1 << place % 8
    with pytest.raises(BackupRefused):
        read(packed(bytes(content)))


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_a_file_that_is_cut_anywhere_is_refused(backup: bytes, data: st.DataObject) -> None:
    length = data.draw(st.integers(1, len(backup) - 1))
    with pytest.raises(BackupRefused, match=r"cut off|no backup"):
        read(backup[:length])


def test_content_that_ends_after_any_line_is_refused(backup: bytes) -> None:
    lines = gzip.decompress(backup).splitlines(keepends=True)
    for kept in range(len(lines)):
        with pytest.raises(BackupRefused, match=r"cut off after line|it is empty"):
            read(packed(b"".join(lines[:kept])))


def test_a_section_that_is_missing_or_there_twice_is_found(backup: bytes) -> None:
    content = gzip.decompress(backup)
    (section,) = re.findall(
        rb'\{"table":"channels".*?\{"end_of":"channels".*?\n', content, re.DOTALL
    )
    for changed in (content.replace(section, b""), content.replace(section, section * 2)):
        with pytest.raises(BackupRefused, match=r"checksum|damaged at line"):
            read(packed(changed))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "it is empty"),
        (b"# A text, not a backup.\n", "no backup of Heartbeat Central"),
        (b"SQLite format 3\x00" + bytes(1000), "no backup of Heartbeat Central"),
        (packed(b""), "it is empty"),
        (packed(b"a text\n"), "no backup of Heartbeat Central"),
        (packed(b'{"format":"another"}\n'), "no backup of Heartbeat Central"),
        (packed(b"[" * 100_000 + b"\n"), "no backup of Heartbeat Central"),
        (packed(b"5\n"), "no backup of Heartbeat Central"),
    ],
)
def test_what_is_no_backup_is_refused(content: bytes, reason: str) -> None:
    with pytest.raises(BackupRefused, match=reason):
        read(content)


def test_another_version_of_the_format_is_refused(backup: bytes) -> None:
    content = gzip.decompress(backup).replace(b'"version":1,', b'"version":2,', 1)
    with pytest.raises(BackupRefused, match="version 2 of the format"):
        read(packed(content))


@pytest.mark.parametrize("more", [b"x", b"\x1f\x8b", packed(b"{}\n"), packed(b"\n")])
def test_what_follows_the_end_is_refused(backup: bytes, more: bytes) -> None:
    with pytest.raises(BackupRefused):
        read(backup + more)


@pytest.mark.parametrize(
    "line",
    [
        b"[" * 100_000,
        b'{"table":"members","columns":{"role":"colour"},"last_id":null}',
        b'{"table":"members","columns":[],"last_id":null}',
        b'{"table":7,"columns":{},"last_id":null}',
        b'{"table":"members","columns":{},"last_id":"7"}',
        b'{"end_of":"members","rows":0}',
        b"null",
        b"\xff\xfe",
        b"",
    ],
)
def test_a_line_that_makes_no_sense_is_named(backup: bytes, line: bytes) -> None:
    first, rest = gzip.decompress(backup).split(b"\n", 1)
    with pytest.raises(BackupRefused, match="damaged at line 2"):
        read(packed(first + b"\n" + line + b"\n" + rest))


@pytest.mark.parametrize(
    "row",
    [
        b'["1","a@b.c","x","2026-01-01T00:00:00+00:00"]',
        b'[1,"a@b.c"]',
        b"[1,2,3,4]",
        b"[",
        b'[true,"a@b.c","x","2026-01-01T00:00:00+00:00"]',
        b'[1,"a@b.c","x","yesterday"]',
        b'[1,"a@b.c","x","2026-01-01T00:00:00"]',
    ],
)
def test_a_row_that_does_not_fit_its_columns_is_named(backup: bytes, row: bytes) -> None:
    content = gzip.decompress(backup)
    begin = content.index(b'{"table":"users"')
    first = content.index(b"\n", begin) + 1
    number = content[:first].count(b"\n") + 1
    with pytest.raises(BackupRefused, match=f"damaged at line {number}"):
        read(packed(content[:first] + row + b"\n" + content[first:]))


def test_a_line_without_end_takes_no_memory(backup: bytes) -> None:
    first, _ = gzip.decompress(backup).split(b"\n", 1)
    with pytest.raises(BackupRefused, match="damaged at line 2"):
        read(packed(first + b"\n[" + b" " * 20_000_000 + b"]\n"))

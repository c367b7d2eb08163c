"""The backup file: gzip around the lines of domain/backup.py, with counts and a checksum at its end.

Both ways are streams: a file of any size takes the same little memory.
"""

import gzip
import hashlib
import io
import zlib
from collections.abc import Generator, Iterable, Iterator
from types import TracebackType
from typing import BinaryIO, Self

from heartbeat_central.domain.backup import (
    Header,
    Row,
    RowCodec,
    Section,
    SectionEnd,
    Trailer,
    read_header,
    read_mark,
    write_header,
    write_mark,
)
from heartbeat_central.domain.errors import BackupRefused

LONGEST_LINE = 16 * 1024 * 1024
"""Bytes. The longest row, a heartbeat with a body of 1 MiB, takes a tenth of it."""
BATCH_ROWS = 1_000
BATCH_BYTES = 4 * 1024 * 1024
"""How much is handed over at once, whichever is reached first."""

_BUFFER = 256 * 1024
_LEVEL = 3
"""Of gzip: a tenth larger than the default, in half the time."""


class BackupWriter:
    """Writes a backup. Leaving the context without an error writes the end that makes it whole."""

    def __init__(self, stream: BinaryIO, header: Header) -> None:
        # No time of its own: the header has it, and the same content makes the same file.
        self._packed = gzip.GzipFile(
            filename="", mode="wb", compresslevel=_LEVEL, fileobj=stream, mtime=0
        )
        self._buffer = bytearray()
        self._digest = hashlib.sha256()
        self.tables = 0
        self.rows = 0
        self._add(write_header(header))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self._flush()
            self._buffer += write_mark(
                Trailer(tables=self.tables, rows=self.rows, sha256=self._digest.hexdigest())
            )
            self._packed.write(self._buffer)
            self._packed.close()

    def write(self, section: Section, rows: Iterable[Row]) -> Iterator[int]:
        """Write a table. Yields the number of rows so far, from time to time and at the end."""
        self._add(write_mark(section))
        codec = RowCodec(section.columns)
        count = 0
        for row in rows:
            self._add(codec.write(row))
            count += 1
            if count % BATCH_ROWS == 0:
                yield count
        self._add(write_mark(SectionEnd(table=section.table, rows=count)))
        self.tables += 1
        self.rows += count
        yield count

    def _add(self, line: bytes) -> None:
        self._buffer += line
        if len(self._buffer) >= _BUFFER:
            self._flush()

    def _flush(self) -> None:
        self._digest.update(self._buffer)
        self._packed.write(self._buffer)
        self._buffer.clear()


class BackupReader:
    """Reads a backup, and judges it on the way: every failing raises BackupRefused."""

    def __init__(self, stream: BinaryIO) -> None:
        self._lines = io.BufferedReader(gzip.GzipFile(fileobj=stream, mode="rb"), _BUFFER)
        self._digest = hashlib.sha256()
        self._number = 0
        self.trailer: Trailer | None = None
        """Known when everything was read and found right."""
        self.header = read_header(self._next())

    def batches(self) -> Iterator[tuple[Section, list[Row]]]:
        """Yield the rows of each table, some at a time; of an empty table no rows, once.

        Only after the last batch is the file known to be whole.
        """
        seen: set[str] = set()
        rows = 0
        while True:
            # Before the next line: the checksum is of all that precedes the line it stands in.
            digest = self._digest.hexdigest()
            mark = self._mark(self._next())
            match mark:
                case Section() if mark.table not in seen:
                    seen.add(mark.table)
                    rows += yield from self._section(mark)
                case Trailer():
                    if mark != Trailer(tables=len(seen), rows=rows, sha256=digest):
                        raise BackupRefused("its content does not match its checksum")
                    self._expect_end()
                    self.trailer = mark
                    return
                case _:
                    raise self._damaged()

    def _section(self, section: Section) -> Generator[tuple[Section, list[Row]], None, int]:
        codec = RowCodec(section.columns)
        count = size = 0
        batch: list[Row] = []
        while (line := self._next()).startswith(b"["):
            try:
                batch.append(codec.read(line))
            except (ValueError, TypeError, RecursionError) as error:
                raise self._damaged() from error
            count += 1
            size += len(line)
            if len(batch) == BATCH_ROWS or size >= BATCH_BYTES:
                yield section, batch
                batch, size = [], 0
        if self._mark(line) != SectionEnd(table=section.table, rows=count):
            raise self._damaged()
        if batch or not count:
            yield section, batch
        return count

    def _next(self) -> bytes:
        line = self._readline()
        if not line:
            raise BackupRefused(
                "it is empty" if self._number == 0 else f"it is cut off after line {self._number}"
            )
        self._number += 1
        if not line.endswith(b"\n"):
            raise self._damaged()
        self._digest.update(line)
        return line

    def _readline(self) -> bytes:
        try:
            return self._lines.readline(LONGEST_LINE)
        except EOFError as error:
            raise BackupRefused(
                f"it is cut off after line {self._number}; the backup or a copy of it was not "
                "finished"
            ) from error
        except (gzip.BadGzipFile, zlib.error) as error:
            if self._number == 0:
                raise BackupRefused("this is no backup of Heartbeat Central") from error
            raise BackupRefused(f"it is damaged after line {self._number}") from error

    def _mark(self, line: bytes) -> Section | SectionEnd | Trailer:
        try:
            return read_mark(line)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise self._damaged() from error

    def _expect_end(self) -> None:
        if self._readline():
            raise BackupRefused("something follows its end")

    def _damaged(self) -> BackupRefused:
        return BackupRefused(f"it is damaged at line {self._number}")

"""Put a backup in place of all that a database holds: first the whole file is judged, then it goes in.

The secrets of channels stand in the file as they stand in the database, encrypted with SECRET_KEY. A
restored instance must be able to deliver, so every one of them must open before anything is changed.
"""

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import BinaryIO

from heartbeat_central.domain.backup import Header, Row, Section, Trailer
from heartbeat_central.domain.errors import BackupRefused, Conflict
from heartbeat_central.services.backup_file import BackupReader
from heartbeat_central.storage import migrate
from heartbeat_central.storage.engine import Database
from heartbeat_central.storage.load import Loader, replacing
from heartbeat_central.storage.secrets import SecretBox

Progress = Callable[[int], None]
"""Told how many bytes of the file have been read."""

_SEALED = ("channels", "config")
_HISTORY = ("heartbeats", "received_at")


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What a file holds that was read to its end and found whole."""

    header: Header
    trailer: Trailer
    rows: Mapping[str, int]
    """By table."""
    days: frozenset[date]
    """Days, UTC, that have history."""
    unopened: int
    """Channels whose secrets none of the keys opens."""


def inspect_backup(
    stream: BinaryIO, boxes: Sequence[SecretBox], *, on_progress: Progress
) -> Contents:
    """Read the whole file and return what is in it. Raises BackupRefused when anything is wrong."""
    reader = BackupReader(stream)
    if not migrate.is_known(reader.header.schema):
        raise BackupRefused(
            f"version {reader.header.program} of the program made it, with tables (revision "
            f"{reader.header.schema}) that this version doesn't know; use that version or a newer one"
        )
    rows: dict[str, int] = {}
    days: set[date] = set()
    unopened = 0
    for section, batch in reader.batches():
        rows[section.table] = rows.get(section.table, 0) + len(batch)
        if (at := _index(section, _HISTORY)) is not None:
            days.update(row[at].date() for row in batch)
        if (at := _index(section, _SEALED)) is not None:
            unopened += sum(not any(box.opens(row[at]) for box in boxes) for row in batch)
        on_progress(stream.tell())
    assert reader.trailer is not None
    return Contents(
        header=reader.header,
        trailer=reader.trailer,
        rows=rows,
        days=frozenset(days),
        unopened=unopened,
    )


def restore_backup(
    database: Database,
    stream: BinaryIO,
    contents: Contents,
    *,
    box: SecretBox,
    former: SecretBox | None,
    replace: bool,
    on_progress: Progress,
) -> None:
    """Fill the database from the file that `contents` was read from, in one transaction.

    Secrets that `former` opens and `box` doesn't are sealed anew with `box`; the others stay as they
    are. `replace` allows to lose what the database holds.

    Raises Conflict when it holds something and `replace` is false, or when a service works with it;
    BackupRefused; StorageUnavailable. Then everything is as it was.
    """
    stream.seek(0, io.SEEK_SET)
    reader = BackupReader(stream)
    with replacing(database) as loader:
        _refuse_others(loader)
        if not replace:
            _refuse_loss(loader)
        loader.begin(contents.header.schema, contents.days)
        for section, batch in reader.batches():
            loader.insert(section, _resealed(section, batch, box, former))
            on_progress(stream.tell())
        if reader.trailer != contents.trailer:
            raise BackupRefused("the file was changed while it was read")
        loader.finish(contents.days, as_of=contents.header.created_at)


def _refuse_others(loader: Loader) -> None:
    others = loader.others()
    if others:
        raise Conflict(
            f"{others} other {'session works' if others == 1 else 'sessions work'} with this "
            "database; stop the service on every node first. Nothing was changed."
        )


def _refuse_loss(loader: Loader) -> None:
    held = loader.held()
    if held:
        listed = ", ".join(f"{name.replace('_', ' ')}: {count}" for name, count in held.items())
        raise Conflict(
            f"The database is in use ({listed}); give --replace to lose all that is in it, or "
            "restore into an empty database. Nothing was changed."
        )


def _resealed(
    section: Section, batch: Sequence[Row], box: SecretBox, former: SecretBox | None
) -> Sequence[Row]:
    at = _index(section, _SEALED)
    if at is None or former is None:
        return batch
    rows = [list(row) for row in batch]
    for row in rows:
        if not box.opens(row[at]) and former.opens(row[at]):
            row[at] = box.seal(former.open(row[at]))
    return rows


def _index(section: Section, wanted: tuple[str, str]) -> int | None:
    table, name = wanted
    if section.table != table or name not in section.columns:
        return None
    return list(section.columns).index(name)

"""`heartbeat-central restore`: a backup in place of all that the database holds."""

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click

from heartbeat_central.cli.context import load_settings, opened
from heartbeat_central.cli.failures import CommandFailed
from heartbeat_central.cli.progress import progress
from heartbeat_central.domain.errors import StorageUnavailable

if TYPE_CHECKING:
    from heartbeat_central.services.restore_backup import Contents
    from heartbeat_central.settings import Settings

_SHOWN = ("applications", "channels", "incidents", "heartbeats")


@click.command(short_help="Restore a backup.")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True))
@click.option("--replace", is_flag=True, help="Lose what the database holds.")
@click.option("--check", is_flag=True, help="Only read FILE and say what it holds.")
@click.option(
    "--former-key-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File with the SECRET_KEY of the instance that was backed up, where it is another.",
)
@click.option(
    "--without-secrets",
    is_flag=True,
    help="Restore although the secrets of channels can't be opened; enter those channels anew.",
)
def restore(
    file: Path, replace: bool, check: bool, former_key_file: Path | None, without_secrets: bool
) -> None:
    """Restore FILE, or standard input when FILE is `-`, into the database that the settings name.

    It may come from SQLite or from PostgreSQL, and go into either. The whole file is read and judged
    first, and goes in all at once: whatever fails, nothing is changed. Stop the service before.
    """
    settings = load_settings()
    with _seekable(file) as stream:
        former = None if former_key_file is None else _key_in(former_key_file)
        contents = _inspect(settings, stream, former)
        if not check:
            if contents.unopened and not without_secrets:
                raise CommandFailed(
                    f"SECRET_KEY does not open {_secrets(contents)}; set the one of the instance "
                    "that was backed up, or name a file that holds it with --former-key-file; if "
                    "it is lost, --without-secrets restores all the rest. Nothing was changed."
                )
            _restore(settings, stream, contents, former, replace=replace)
    done = "The backup is whole" if check else "Restored"
    counts = ", ".join(f"{name}: {contents.rows.get(name, 0)}" for name in _SHOWN)
    click.echo(f"{done} ({counts}). {_origin(contents)}", err=True)
    if contents.unopened:
        click.echo(f"SECRET_KEY does not open {_secrets(contents)}.", err=True)


def _secrets(contents: "Contents") -> str:
    channels = contents.rows["channels"]
    return f"the secrets of {contents.unopened} of {channels} channels in the backup"


def _origin(contents: "Contents") -> str:
    header = contents.header
    at = f"{header.created_at:%Y-%m-%d %H:%M:%S} UTC"
    return f"Version {header.program} made it at {at} from {header.database}."


def _inspect(settings: "Settings", stream: BinaryIO, former: str | None) -> "Contents":
    from heartbeat_central.services.restore_backup import inspect_backup
    from heartbeat_central.settings import kept_secret_key
    from heartbeat_central.storage.secrets import SecretBox

    boxes = [SecretBox([key]) for key in (kept_secret_key(settings), former) if key]
    size = _size(stream)
    with progress("Checking") as show:
        return inspect_backup(stream, boxes, on_progress=lambda done: show(done, size))


def _restore(
    settings: "Settings",
    stream: BinaryIO,
    contents: "Contents",
    former: str | None,
    *,
    replace: bool,
) -> None:
    from heartbeat_central.services.restore_backup import restore_backup
    from heartbeat_central.settings import resolve_secret_key
    from heartbeat_central.storage.secrets import SecretBox

    size = _size(stream)
    try:
        with opened(settings, alone=True) as database, progress("Restoring") as show:
            restore_backup(
                database,
                stream,
                contents,
                box=SecretBox([resolve_secret_key(settings)]),
                former=None if former is None else SecretBox([former]),
                replace=replace,
                on_progress=lambda done: show(done, size),
            )
    except StorageUnavailable as error:
        if settings.uses_sqlite and "locked" in str(error):
            raise CommandFailed(
                "Another program has the SQLite file open; stop the service first. "
                "Nothing was changed."
            ) from error
        raise


@contextmanager
def _seekable(file: Path) -> Iterator[BinaryIO]:
    """Yield the file. It is read twice, which a pipe can't be: what comes from one goes to disk."""
    from heartbeat_central.settings.errors import reason_of

    with ExitStack() as stack:
        try:
            stream: BinaryIO = sys.stdin.buffer
            if str(file) != "-":
                stream = stack.enter_context(file.open("rb"))
            if not stream.seekable():
                spooled = stack.enter_context(tempfile.TemporaryFile())
                shutil.copyfileobj(stream, spooled)
                spooled.seek(0)
                stream = spooled
        except OSError as error:
            raise CommandFailed(f"{file} can't be read ({reason_of(error)}).") from error
        yield stream


def _key_in(file: Path) -> str:
    from heartbeat_central.settings.errors import reason_of

    try:
        key = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise CommandFailed(f"{file} can't be read ({reason_of(error)}).") from error
    if not key:
        raise CommandFailed(f"{file} holds no key.")
    return key


def _size(stream: BinaryIO) -> int:
    position = stream.tell()
    size = stream.seek(0, 2)
    stream.seek(position)
    return size

"""`heartbeat-central backup`: everything into one file, while the service runs."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import click

from heartbeat_central.cli.context import load_settings, now, opened
from heartbeat_central.cli.failures import CommandFailed
from heartbeat_central.cli.progress import progress


@click.command(short_help="Back up everything into one file.")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True))
def backup(file: Path) -> None:
    """Back up everything into FILE, or to standard output when FILE is `-`.

    The service may go on meanwhile: the backup holds everything as of one moment. FILE appears once
    it is whole. Keep SECRET_KEY as well, apart from it: the secrets of channels need it.
    """
    from heartbeat_central.services.back_up import back_up

    with (
        opened(load_settings()) as database,
        _standard_output() if str(file) == "-" else _new_file(file) as stream,
        progress("Backing up") as show,
    ):
        done = back_up(database, stream, now=now(), on_progress=show)
    click.echo(f"Backed up {done.total} rows of {len(done.rows)} tables.", err=True)
    if done.unreadable:
        click.echo(
            f"In {done.unreadable} of the rows something can't be read, which is not in the backup: "
            "see row_unreadable above.",
            err=True,
        )


@contextmanager
def _standard_output() -> Iterator[BinaryIO]:
    if sys.stdout.isatty():
        raise click.UsageError("A backup is no text for a terminal: redirect it, or name a FILE.")
    yield sys.stdout.buffer
    sys.stdout.buffer.flush()


@contextmanager
def _new_file(file: Path) -> Iterator[BinaryIO]:
    """Yield a file that takes its name, and the place of one that had it, once all is on disk."""
    partial = file.with_name(f"{file.name}.partial")
    try:
        partial.unlink(missing_ok=True)
        # For its owner alone: it holds hashes of passwords and keys, and all that was ever sent.
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            try:
                yield stream
                stream.flush()
                os.fsync(stream.fileno())
                if not os.path.samestat(os.fstat(stream.fileno()), partial.stat()):
                    raise CommandFailed(f"Another backup is being written to {file}; let it end.")
            except BaseException:
                partial.unlink(missing_ok=True)
                raise
        partial.replace(file)
        _sync_folder(file.parent)
    except OSError as error:
        reason = error.strerror or str(error)
        raise CommandFailed(f"The backup can't be written to {file} ({reason}).") from error


def _sync_folder(folder: Path) -> None:
    """Put the new name on disk, where the system lets one open a folder."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

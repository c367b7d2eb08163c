"""One `serve` per SQLite file.

Two would each take the other's unfinished deliveries for those of a dead process, and send them again.
Commands that come and go beside the service are no harm.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from heartbeat_central.cli.failures import CommandFailed


@contextmanager
def sole_service(database: Path | None) -> Iterator[None]:
    """Hold a lock beside this SQLite file, None for PostgreSQL. Raises CommandFailed when it is taken.

    The system frees it when this process ends, however it ends; the lock's file stays and means nothing.
    """
    if database is None or sys.platform == "win32":
        yield
        return
    import fcntl

    try:
        # The same file under another name is the same file.
        lock = database.resolve().with_name(f"{database.resolve().name}-serve")
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:
        # The database itself can't be used there either, and that has a sentence of its own.
        yield
        return
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CommandFailed(_taken(database, descriptor)) from None
        except OSError:
            # A file system without locks; SQLite is not at home there.
            yield
            return
        os.ftruncate(descriptor, 0)
        # A full disk leaves the lock without a name on it.
        with suppress(OSError):
            os.write(descriptor, str(os.getpid()).encode())
        yield
    finally:
        os.close(descriptor)


def _taken(database: Path, descriptor: int) -> str:
    pid = os.read(descriptor, 20).decode("ascii", "replace")
    who = f" (process {pid})" if pid.isdigit() else ""
    return (
        f"Another `serve`{who} is using {database}; stop that one, or give this one a database of its "
        "own with HEARTBEAT_DATA_DIR or DATABASE_URL."
    )

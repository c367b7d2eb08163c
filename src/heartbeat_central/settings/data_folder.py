"""The data folder, and the secret key that is kept there when the operator gives none."""

import os
import secrets
import tempfile
from pathlib import Path

from heartbeat_central.settings.errors import SettingsError, reason_of
from heartbeat_central.settings.model import Settings

SECRET_KEY_FILE = "secret_key"  # noqa: S105 - the name of a file
SHORTEST_KEPT_KEY = 16
"""Characters. Anything shorter in the file is damage, for ours are longer."""


def resolve_secret_key(settings: Settings) -> str:
    """Return SECRET_KEY, or the one kept in the data folder, which is made when there is none.

    Processes that start at once agree on one key. Raises SettingsError when the folder can't be
    written or the file holds no key.
    """
    key = kept_secret_key(settings)
    if key is None:
        ensure_data_dir(settings)
        try:
            _create_secret(settings.data_dir / SECRET_KEY_FILE)
        except OSError as error:
            raise _unusable(settings, error) from error
        key = kept_secret_key(settings)
        assert key is not None
    return key


def kept_secret_key(settings: Settings) -> str | None:
    """Return SECRET_KEY, or the one in the data folder; None when none was made yet.

    Raises SettingsError when the file is there but holds no key.
    """
    if settings.secret_key is not None:
        return settings.secret_key.get_secret_value()
    path = settings.data_dir / SECRET_KEY_FILE
    try:
        key = path.read_text(encoding="utf-8").strip()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise _unusable(settings, error) from error
    if len(key) < SHORTEST_KEPT_KEY:
        raise SettingsError.one(
            "SECRET_KEY",
            f"The file {path} holds no usable secret key; put the old one back from a backup, or "
            "delete the file to have a new one made, and enter the secrets of channels again.",
        )
    return key


def _unusable(settings: Settings, error: Exception) -> SettingsError:
    path = settings.data_dir / SECRET_KEY_FILE
    return SettingsError.one(
        "SECRET_KEY",
        f"The secret key in {path} can't be read or made ({reason_of(error)}); "
        "mend the file's owner and mode, or set SECRET_KEY.",
    )


def ensure_data_dir(settings: Settings) -> None:
    """Make the data folder when it is missing. Raises SettingsError when it can't be written."""
    folder = settings.data_dir
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # A real file: on a read-only file system, or for root, mode bits tell nothing.
        with tempfile.TemporaryFile(dir=folder):
            pass
    except FileExistsError as error:
        raise SettingsError.one(
            "HEARTBEAT_DATA_DIR",
            f"The data folder {folder} can't be written, for it is a file; move that file away, or "
            "set HEARTBEAT_DATA_DIR to a folder.",
        ) from error
    except OSError as error:
        raise SettingsError.one(
            "HEARTBEAT_DATA_DIR",
            f"The data folder {folder} can't be written ({reason_of(error)}); make it writable for "
            "this user, or set HEARTBEAT_DATA_DIR to another folder.",
        ) from error


def _create_secret(path: Path) -> None:
    # A link appears whole or not at all, and never replaces the key of a process that was quicker.
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{SECRET_KEY_FILE}-")  # mode 0600
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(secrets.token_urlsafe(48) + "\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(name, path)
        except FileExistsError:
            pass
        except OSError:  # a file system without links
            Path(name).rename(path)
    finally:
        Path(name).unlink(missing_ok=True)

"""One frozen `Settings`, read once from the environment and `.env`; the environment wins."""

from heartbeat_central.settings.data_folder import (
    ensure_data_dir,
    kept_secret_key,
    resolve_secret_key,
)
from heartbeat_central.settings.errors import Problem, SettingsError
from heartbeat_central.settings.model import Settings, variables
from heartbeat_central.settings.reading import read_settings

__all__ = [
    "Problem",
    "Settings",
    "SettingsError",
    "ensure_data_dir",
    "kept_secret_key",
    "read_settings",
    "resolve_secret_key",
    "variables",
]

"""Create, read, change and remove channels. Their configurations are encrypted at rest."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import structlog

from heartbeat_central.alerts import config as plugin_config
from heartbeat_central.alerts.registry import Registry
from heartbeat_central.domain.channel import LONGEST_NAME, ChannelView
from heartbeat_central.domain.errors import FieldError, HeartbeatCentralError, Invalid
from heartbeat_central.domain.text import is_storable
from heartbeat_central.storage import channels
from heartbeat_central.storage.channels import Channel, Past
from heartbeat_central.storage.engine import Connection, Database
from heartbeat_central.storage.secrets import SecretBox, WrongSecretKey

log = structlog.get_logger(__name__)


def channel_errors(
    database: Database,
    project_id: int,
    given: Mapping[str, Any],
    *,
    channel_id: int | None = None,
    registry: Registry,
    secret_box: SecretBox,
) -> list[FieldError]:
    """Return every rule that `given` breaks, for a new channel or as changes to `channel_id`.

    `given` holds fields of the right type; what is missing is not judged. Raises NotFound.
    """
    if channel_id is not None:
        with database.read() as connection:
            channel = channels.find(connection, project_id, channel_id)
        return _change_errors(channel, given, registry, secret_box)
    errors = _name_errors(given["name"]) if "name" in given else []
    if "type" in given:
        try:
            plugin = registry.get(given["type"])
            if "config" in given:
                plugin_config.validate(plugin, given["config"])
        except Invalid as invalid:
            errors += invalid.errors
    return errors


def create_channel(
    database: Database,
    project_id: int,
    *,
    name: str,
    type: str,  # noqa: A002  the word of the API
    config: Mapping[str, Any],
    is_active: bool = True,
    registry: Registry,
    secret_box: SecretBox,
    now: datetime,
) -> ChannelView:
    """Store and return a new channel. Raises Invalid, naming every bad field."""
    errors = _name_errors(name)
    sealed = ""
    try:
        plugin = registry.get(type)
        valid = plugin_config.validate(plugin, config)
        sealed = secret_box.seal(plugin_config.dump(plugin, valid))
    except Invalid as invalid:
        errors += invalid.errors
    if errors:
        raise Invalid(errors)
    with database.write() as connection:
        channel = channels.add(
            connection,
            project_id=project_id,
            name=name,
            type_=type,
            sealed_config=sealed,
            is_active=is_active,
            now=now,
        )
    return _view(channel, Past(), registry, secret_box)


def get_channel(
    database: Database,
    project_id: int,
    channel_id: int,
    *,
    registry: Registry,
    secret_box: SecretBox,
) -> ChannelView:
    """Return one channel. Raises NotFound."""
    with database.read() as connection:
        channel = channels.find(connection, project_id, channel_id)
        return _view(channel, _past(connection, channel_id), registry, secret_box)


def list_channels(
    database: Database,
    project_id: int,
    *,
    limit: int = 100,
    before_id: int | None = None,
    registry: Registry,
    secret_box: SecretBox,
) -> list[ChannelView]:
    """Return up to `limit` channels, newest first, with ids below `before_id`."""
    with database.read() as connection:
        page = channels.page(connection, project_id, limit=limit, before_id=before_id)
        pasts = channels.pasts(connection, [channel.id for channel in page])
    return [_view(channel, pasts[channel.id], registry, secret_box) for channel in page]


def change_channel(
    database: Database,
    project_id: int,
    channel_id: int,
    changes: Mapping[str, Any],
    *,
    registry: Registry,
    secret_box: SecretBox,
    now: datetime,
) -> ChannelView:
    """Change the fields given (`name`, `config`, `is_active`) and return the channel.

    `config` replaces the whole configuration; a secret sent back masked stays as it is stored.
    Raises Invalid and NotFound.
    """
    with database.write() as connection:
        # Locked: what somebody else was just changing must not be undone.
        channel = channels.find(connection, project_id, channel_id, lock=True)
        errors = _change_errors(channel, changes, registry, secret_box)
        if errors:
            raise Invalid(errors)
        sealed = channel.sealed_config
        if "config" in changes:
            sealed = _resealed(channel, changes["config"], registry, secret_box)
        channels.save(
            connection,
            channel_id,
            name=changes.get("name", channel.name),
            sealed_config=sealed,
            is_active=changes.get("is_active", channel.is_active),
            now=now,
        )
        changed = channels.find(connection, project_id, channel_id)
        return _view(changed, _past(connection, channel_id), registry, secret_box)


def delete_channel(database: Database, project_id: int, channel_id: int) -> None:
    """Delete a channel with its deliveries. Raises NotFound."""
    with database.write() as connection:
        channels.find(connection, project_id, channel_id)
        channels.remove(connection, channel_id)


def _name_errors(name: str) -> list[FieldError]:
    if not is_storable(name):
        return [FieldError("name", "must not contain NUL or unpaired surrogate characters")]
    if not 1 <= len(name.strip()) <= LONGEST_NAME:
        return [FieldError("name", f"must have 1 to {LONGEST_NAME} characters")]
    return []


def _change_errors(
    channel: Channel, changes: Mapping[str, Any], registry: Registry, secret_box: SecretBox
) -> list[FieldError]:
    errors = _name_errors(changes["name"]) if "name" in changes else []
    if changes.get("type", channel.type) != channel.type:
        errors.append(FieldError("type", "can't be changed; create a new channel instead"))
    if "config" in changes:
        try:
            _resealed(channel, changes["config"], registry, secret_box)
        except Invalid as invalid:
            errors += invalid.errors
    return errors


def _resealed(
    channel: Channel, config: Mapping[str, Any], registry: Registry, secret_box: SecretBox
) -> str:
    plugin = registry.get(channel.type)
    try:
        stored = secret_box.open(channel.sealed_config)
    except WrongSecretKey:
        # What can't be read any more can still be entered anew.
        stored = {}
    valid = plugin_config.validate(plugin, plugin_config.merge_masked(plugin, config, stored))
    return secret_box.seal(plugin_config.dump(plugin, valid))


def _past(connection: Connection, channel_id: int) -> Past:
    return channels.pasts(connection, [channel_id])[channel_id]


def _view(channel: Channel, past: Past, registry: Registry, secret_box: SecretBox) -> ChannelView:
    config: Mapping[str, Any] = {}
    last_error = past.last_error
    try:
        plugin = registry.get(channel.type)
        config = plugin_config.masked(plugin, secret_box.open(channel.sealed_config))
    except HeartbeatCentralError as error:
        # A plugin that is gone or a lost key must not hide the channel from its owner.
        last_error = str(error)
    except Exception as error:
        log.exception("channel_unreadable", channel=channel.id)
        last_error = f"its configuration can't be read ({type(error).__name__}); enter it anew"
    return ChannelView(
        id=channel.id,
        name=channel.name,
        type=channel.type,
        config=config,
        is_active=channel.is_active,
        last_delivery=past.last_delivery,
        last_error=last_error,
        created_at=channel.created_at,
        updated_at=channel.updated_at,
    )

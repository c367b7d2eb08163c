"""/api/channels and /api/alert-plugins."""

from collections.abc import Collection, Mapping
from functools import partial
from typing import Any

from flask import Blueprint, Response, jsonify, url_for

from heartbeat_central.alerts.config import json_schema
from heartbeat_central.api import models
from heartbeat_central.api.auth import project_id
from heartbeat_central.api.context import context
from heartbeat_central.api.deliveries import status_of
from heartbeat_central.api.requests import (
    before_id,
    body_as,
    identifier,
    limit_of,
    no_body,
    page,
    query,
)
from heartbeat_central.domain.errors import FieldError
from heartbeat_central.services import manage_channels as use
from heartbeat_central.services.read_history import deliveries_page
from heartbeat_central.services.retry_delivery import retry_delivery
from heartbeat_central.services.test_channel import test_channel

blueprint = Blueprint("channels", __name__, url_prefix="/channels")
plugins = Blueprint("alert_plugins", __name__, url_prefix="/alert-plugins")


@blueprint.get("")
def list_() -> Response:
    """List channels, newest first."""
    values = query(("limit", "cursor"))
    limit = limit_of(values)
    views = use.list_channels(
        context().database,
        project_id(),
        limit=limit + 1,
        before_id=before_id(values),
        registry=context().registry,
        secret_box=context().secret_box,
    )
    return page(
        views, limit=limit, as_json=lambda view: view.as_json(), position=lambda view: [view.id]
    )


@blueprint.post("")
def create() -> tuple[Response, int, dict[str, str]]:
    """Create a channel."""
    new = body_as(models.NewChannel, partial(_errors, None))
    view = use.create_channel(
        context().database,
        project_id(),
        name=new.name,
        type=new.type,
        config=new.config,
        is_active=new.is_active,
        registry=context().registry,
        secret_box=context().secret_box,
        now=context().clock(),
    )
    location = url_for("api.channels.show", channel_id=view.id)
    return jsonify(view.as_json()), 201, {"Location": location}


@blueprint.get("/<channel_id>")
def show(channel_id: str) -> Response:
    """Show one channel."""
    query(())
    view = use.get_channel(
        context().database,
        project_id(),
        identifier(channel_id),
        registry=context().registry,
        secret_box=context().secret_box,
    )
    return jsonify(view.as_json())


@blueprint.route("/<channel_id>", methods=["PUT", "PATCH"])
def change(channel_id: str) -> Response:
    """Change the fields given."""
    place = identifier(channel_id)
    change = body_as(models.ChannelChange, partial(_errors, place))
    view = use.change_channel(
        context().database,
        project_id(),
        place,
        change.model_dump(exclude_unset=True),
        registry=context().registry,
        secret_box=context().secret_box,
        now=context().clock(),
    )
    return jsonify(view.as_json())


@blueprint.delete("/<channel_id>")
def delete(channel_id: str) -> tuple[str, int]:
    """Delete a channel."""
    use.delete_channel(context().database, project_id(), identifier(channel_id))
    return "", 204


@blueprint.post("/<channel_id>/test")
def test(channel_id: str) -> Response:
    """Send a test through a channel, now."""
    no_body()
    outcome = test_channel(
        context().sender,
        project_id(),
        identifier(channel_id),
        base_url=context().base_url,
        clock=context().clock,
    )
    return jsonify({"ok": outcome.ok, "detail": outcome.detail})


@blueprint.get("/<channel_id>/deliveries")
def deliveries(channel_id: str) -> Response:
    """List a channel's deliveries, newest first."""
    values = query(("limit", "cursor", "status"))
    limit = limit_of(values)
    rows = deliveries_page(
        context().database,
        project_id(),
        identifier(channel_id),
        status=status_of(values),
        limit=limit + 1,
        before_id=before_id(values),
    )
    return page(rows, limit=limit, as_json=lambda row: row.as_json(), position=lambda row: [row.id])


@blueprint.post("/<channel_id>/deliveries/<delivery_id>/retry")
def retry(channel_id: str, delivery_id: str) -> Response:
    """Try a delivery again that was given up."""
    no_body()
    delivery = retry_delivery(
        context().database,
        project_id(),
        identifier(channel_id),
        identifier(delivery_id),
        now=context().clock(),
    )
    context().doorbell()
    return jsonify(delivery.as_json())


@plugins.get("")
def list_plugins() -> Response:
    """List the alert plugins with the JSON Schemas of their configurations."""
    query(())
    return jsonify(
        [
            {
                "type": plugin.type,
                "label": plugin.label,
                "summary": plugin.summary,
                "config_schema": json_schema(plugin),
            }
            for plugin in context().registry.all()
        ]
    )


def _errors(
    channel_id: int | None, given: Mapping[str, Any], _bad: Collection[str]
) -> list[FieldError]:
    return use.channel_errors(
        context().database,
        project_id(),
        given,
        channel_id=channel_id,
        registry=context().registry,
        secret_box=context().secret_box,
    )

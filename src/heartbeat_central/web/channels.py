"""Channels: the list, adding one, its page with a test and its deliveries, changing and deleting it."""

from collections.abc import Mapping
from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from heartbeat_central.alerts.base import AlertPlugin
from heartbeat_central.domain.channel import ChannelView
from heartbeat_central.domain.errors import FieldError, Invalid, NotFound
from heartbeat_central.services import manage_channels as use
from heartbeat_central.services.read_history import deliveries_page
from heartbeat_central.services.test_channel import test_channel
from heartbeat_central.web import channel_form as forms
from heartbeat_central.web.context import context
from heartbeat_central.web.query import ID, id_of
from heartbeat_central.web.session import project_id

blueprint = Blueprint("channels", __name__)

PAGE = 50
DELIVERIES = 25


@blueprint.get("/channels")
def index() -> ResponseReturnValue:
    """List the channels."""
    return render_template("channels/index.html", **_listing())


@blueprint.get("/fragments/channels")
def list_fragment() -> ResponseReturnValue:
    """Return the list alone."""
    return render_template("channels/_list.html", **_listing())


@blueprint.get("/channels/new")
def choose() -> ResponseReturnValue:
    """Let people choose where alerts should go."""
    return render_template("channels/choose.html", plugins=context().registry.all())


@blueprint.get("/channels/new/<plugin_type>")
def new(plugin_type: str) -> ResponseReturnValue:
    """Show the form of that plugin."""
    plugin = _plugin(plugin_type)
    return _form_page(plugin, None, name="", is_active=True, texts={}, errors={})


@blueprint.post("/channels/new/<plugin_type>")
def create(plugin_type: str) -> ResponseReturnValue:
    """Save the channel and show its page, where it can be tested."""
    plugin = _plugin(plugin_type)
    fields = forms.fields_of(plugin)
    name = request.form.get("name", "").strip()
    texts = forms.sent_texts(fields, request.form)
    is_active = "is_active" in request.form
    try:
        channel = use.create_channel(
            context().database,
            project_id(),
            name=name,
            type=plugin.type,
            config=_config(fields, texts, name),
            is_active=is_active,
            registry=context().registry,
            secret_box=context().secret_box,
            now=context().clock(),
        )
    except Invalid as invalid:
        errors = forms.errors_by_input(invalid, fields)
        page = _form_page(plugin, None, name=name, is_active=is_active, texts=texts, errors=errors)
        return page, 400
    flash(f"{channel.name} is saved. Send a test to see that it arrives.", "success")
    return redirect(_url(channel.id), 303)


@blueprint.get(f"/channels/<{ID}:channel_id>")
def show(channel_id: int) -> ResponseReturnValue:
    """Show one channel and what was sent through it."""
    return render_template("channels/show.html", **_details(_get(channel_id)))


@blueprint.get(f"/fragments/channels/<{ID}:channel_id>")
def fragment(channel_id: int) -> ResponseReturnValue:
    """Return the live part of that page alone."""
    return render_template("channels/_details.html", **_details(_get(channel_id)))


@blueprint.get(f"/channels/<{ID}:channel_id>/edit")
def edit(channel_id: int) -> ResponseReturnValue:
    """Show the form filled with what is stored; secrets are masked."""
    channel = _get(channel_id)
    plugin = _plugin(channel.type)
    texts = forms.texts_of(forms.fields_of(plugin), channel.config)
    return _form_page(
        plugin, channel, name=channel.name, is_active=channel.is_active, texts=texts, errors={}
    )


@blueprint.post(f"/channels/<{ID}:channel_id>/edit")
def change(channel_id: int) -> ResponseReturnValue:
    """Save what was changed; a secret that is still masked stays as it is stored."""
    channel = _get(channel_id)
    plugin = _plugin(channel.type)
    fields = forms.fields_of(plugin)
    name = request.form.get("name", "").strip()
    texts = forms.sent_texts(fields, request.form)
    is_active = "is_active" in request.form
    try:
        use.change_channel(
            context().database,
            project_id(),
            channel_id,
            {"name": name, "is_active": is_active, "config": _config(fields, texts, name)},
            registry=context().registry,
            secret_box=context().secret_box,
            now=context().clock(),
        )
    except Invalid as invalid:
        errors = forms.errors_by_input(invalid, fields)
        page = _form_page(
            plugin, channel, name=name, is_active=is_active, texts=texts, errors=errors
        )
        return page, 400
    flash(f"{name} is saved.", "success")
    return redirect(_url(channel_id), 303)


@blueprint.post(f"/channels/<{ID}:channel_id>/test")
def test(channel_id: int) -> ResponseReturnValue:
    """Send a test and say what the receiver answered."""
    outcome = test_channel(
        context().sender,
        project_id(),
        channel_id,
        base_url=context().base_url,
        clock=context().clock,
    )
    if outcome.ok:
        flash(f"The test was delivered: {outcome.detail}", "success")
    else:
        # The page says why, under its last error.
        flash("The test was not delivered.", "danger")
    return redirect(_url(channel_id), 303)


@blueprint.get(f"/channels/<{ID}:channel_id>/delete")
def ask_to_delete(channel_id: int) -> ResponseReturnValue:
    """Ask whether it is meant, where there is no dialog to ask in."""
    channel = _get(channel_id)
    return render_template(
        "confirm.html",
        title=f"Delete {channel.name}?",
        text="Applications stop alerting through it, and the record of its deliveries is deleted.",
        action=url_for(".delete", channel_id=channel_id),
        button="Delete channel",
        back=_url(channel_id),
    )


@blueprint.post(f"/channels/<{ID}:channel_id>/delete")
def delete(channel_id: int) -> ResponseReturnValue:
    """Delete it."""
    channel = _get(channel_id)
    use.delete_channel(context().database, project_id(), channel_id)
    flash(f"{channel.name} is deleted.", "success")
    return redirect(url_for(".index"), 303)


def _listing() -> dict[str, Any]:
    rows = use.list_channels(
        context().database,
        project_id(),
        limit=PAGE + 1,
        before_id=id_of("before"),
        registry=context().registry,
        secret_box=context().secret_box,
    )
    return {
        "channels": rows[:PAGE],
        "labels": _labels(),
        "before": id_of("before"),
        "next_before": rows[PAGE - 1].id if len(rows) > PAGE else None,
    }


def _details(channel: ChannelView) -> dict[str, Any]:
    rows = deliveries_page(
        context().database,
        project_id(),
        channel.id,
        limit=DELIVERIES + 1,
        before_id=id_of("before"),
    )
    fields = _fields(channel)
    return {
        "channel": channel,
        "labels": _labels(),
        "titles": {field.name: field.label for field in fields},
        "texts": forms.texts_of(fields, channel.config),
        "deliveries": rows[:DELIVERIES],
        "before": id_of("before"),
        "next_before": rows[DELIVERIES - 1].id if len(rows) > DELIVERIES else None,
    }


def _config(fields: list[forms.FormField], texts: Mapping[str, str], name: str) -> dict[str, Any]:
    try:
        return forms.config_of(fields, texts)
    except Invalid as invalid:
        # The name is judged later; told now as well, so that people mend both at once.
        errors = list(invalid.errors)
        if not name:
            errors.append(FieldError("name", "must not be empty"))
        raise Invalid(errors) from invalid


def _get(channel_id: int) -> ChannelView:
    return use.get_channel(
        context().database,
        project_id(),
        channel_id,
        registry=context().registry,
        secret_box=context().secret_box,
    )


def _plugin(plugin_type: str) -> AlertPlugin[Any]:
    try:
        return context().registry.get(plugin_type)
    except Invalid as invalid:
        raise NotFound(f"there is no alert plugin {plugin_type}") from invalid


def _fields(channel: ChannelView) -> list[forms.FormField]:
    """Return the fields of a channel's plugin; none when that is not installed any more."""
    try:
        return forms.fields_of(_plugin(channel.type))
    except NotFound:
        return []


def _labels() -> dict[str, str]:
    return {plugin.type: plugin.label for plugin in context().registry.all()}


def _form_page(
    plugin: AlertPlugin[Any],
    channel: ChannelView | None,
    *,
    name: str,
    is_active: bool,
    texts: Mapping[str, str],
    errors: Mapping[str, str],
) -> str:
    return render_template(
        "channels/form.html",
        plugin=plugin,
        channel=channel,
        fields=forms.fields_of(plugin),
        name=name,
        is_active=is_active,
        texts=texts,
        errors=errors,
    )


def _url(channel_id: int) -> str:
    return url_for("web.private.channels.show", channel_id=channel_id)

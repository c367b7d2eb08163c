"""One application: register it, look at it, change, pause, resume and delete it."""

from dataclasses import replace
from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from heartbeat_central.domain.channel import ChannelView
from heartbeat_central.domain.errors import Invalid
from heartbeat_central.domain.view import ApplicationView
from heartbeat_central.services import manage_applications as use
from heartbeat_central.services.manage_channels import list_channels
from heartbeat_central.services.read_history import heartbeats_page, incidents_page
from heartbeat_central.web.application_form import (
    ApplicationForm,
    errors_by_input,
    form_of,
    read_form,
    settings_of,
    time_zones,
    values_of,
)
from heartbeat_central.web.context import context
from heartbeat_central.web.query import ID, cursor, position_of
from heartbeat_central.web.session import project_id
from heartbeat_central.web.snippets import snippets
from heartbeat_central.web.words import UNITS

blueprint = Blueprint("applications", __name__)

HEARTBEATS = 25
INCIDENTS = 10
MOST_CHANNELS = 1000


@blueprint.get("/applications/new")
def new() -> ResponseReturnValue:
    """Show the form; every channel is checked, for silence about silence is what nobody wants."""
    form = ApplicationForm(channels=[channel.id for channel in _channels()])
    return _form_page(form, None)


@blueprint.post("/applications/new")
def create() -> ResponseReturnValue:
    """Register the application and show its page."""
    form = read_form(request.form)
    try:
        view = use.create_application(
            context().database,
            project_id(),
            settings_of(form),
            channels=form.channels,
            now=context().clock(),
            base_url=context().base_url,
        )
    except Invalid as invalid:
        return _form_page(replace(form, errors=errors_by_input(invalid)), None), 400
    context().doorbell()
    flash(f"{view.name} is registered. Now let it send its first heartbeat.", "success")
    return redirect(_url(view.id), 303)


@blueprint.get(f"/applications/<{ID}:application_id>")
def show(application_id: int) -> ResponseReturnValue:
    """Show one application with its history."""
    view = _get(application_id)
    return render_template(
        "applications/show.html",
        snippets=snippets(view),
        **_details(view),
    )


@blueprint.get(f"/fragments/applications/<{ID}:application_id>")
def fragment(application_id: int) -> ResponseReturnValue:
    """Return the live parts of that page alone."""
    return render_template("applications/_live.html", **_details(_get(application_id)))


@blueprint.get(f"/applications/<{ID}:application_id>/edit")
def edit(application_id: int) -> ResponseReturnValue:
    """Show the form filled with what is stored."""
    view = _get(application_id)
    return _form_page(form_of(view), view)


@blueprint.post(f"/applications/<{ID}:application_id>/edit")
def change(application_id: int) -> ResponseReturnValue:
    """Save what was changed."""
    view = _get(application_id)
    form = read_form(request.form)
    try:
        changed = use.change_application(
            context().database,
            project_id(),
            application_id,
            {**values_of(form), "channels": form.channels},
            now=context().clock(),
            base_url=context().base_url,
        )
    except Invalid as invalid:
        return _form_page(replace(form, errors=errors_by_input(invalid)), view), 400
    context().doorbell()
    flash(f"{changed.name} is saved.", "success")
    return redirect(_url(application_id), 303)


@blueprint.post(f"/applications/<{ID}:application_id>/pause")
def pause(application_id: int) -> ResponseReturnValue:
    """Stop watching it."""
    use.pause_application(
        context().database,
        project_id(),
        application_id,
        now=context().clock(),
        base_url=context().base_url,
    )
    flash("Paused: its heartbeats are kept, and nobody is alerted.", "success")
    return redirect(_url(application_id), 303)


@blueprint.post(f"/applications/<{ID}:application_id>/resume")
def resume(application_id: int) -> ResponseReturnValue:
    """Watch it again."""
    use.resume_application(
        context().database,
        project_id(),
        application_id,
        now=context().clock(),
        base_url=context().base_url,
    )
    context().doorbell()
    flash("Resumed: silence counts from now on.", "success")
    return redirect(_url(application_id), 303)


@blueprint.get(f"/applications/<{ID}:application_id>/delete")
def ask_to_delete(application_id: int) -> ResponseReturnValue:
    """Ask whether it is meant, where there is no dialog to ask in."""
    view = _get(application_id)
    return render_template(
        "confirm.html",
        title=f"Delete {view.name}?",
        text="Its heartbeat URL stops working at once, and its history is deleted.",
        action=url_for(".delete", application_id=application_id),
        button="Delete application",
        back=_url(application_id),
    )


@blueprint.post(f"/applications/<{ID}:application_id>/delete")
def delete(application_id: int) -> ResponseReturnValue:
    """Delete it."""
    gone = use.delete_application(
        context().database, project_id(), application_id, now=context().clock()
    )
    flash(f"{gone.settings.name} is deleted.", "success")
    return redirect(url_for("web.private.dashboard.index"), 303)


def _get(application_id: int) -> ApplicationView:
    return use.get_application(
        context().database,
        project_id(),
        application_id,
        now=context().clock(),
        base_url=context().base_url,
    )


def _details(view: ApplicationView) -> dict[str, Any]:
    """Return what the live parts of the page show."""
    database = context().database
    beats = heartbeats_page(
        database, project_id(), view.id, limit=HEARTBEATS + 1, before=position_of("before")
    )
    incidents = incidents_page(
        database, project_id(), ref=view.id, limit=INCIDENTS + 1, before=position_of("outages")
    )
    older_beats = older_incidents = None
    if len(beats) > HEARTBEATS:
        older_beats = cursor(beats[HEARTBEATS - 1].received_at, beats[HEARTBEATS - 1].id)
    if len(incidents) > INCIDENTS:
        last = incidents[INCIDENTS - 1]
        older_incidents = cursor(last.opened_at, last.id)
    return {
        "application": view,
        "channels": [channel for channel in _channels() if channel.id in view.channels],
        "heartbeats": beats[:HEARTBEATS],
        "older_heartbeats": older_beats,
        "incidents": incidents[:INCIDENTS],
        "older_incidents": older_incidents,
        "page": {
            name: request.args[name] for name in ("before", "outages") if name in request.args
        },
    }


def _channels() -> list[ChannelView]:
    return list_channels(
        context().database,
        project_id(),
        limit=MOST_CHANNELS,
        registry=context().registry,
        secret_box=context().secret_box,
    )


def _form_page(form: ApplicationForm, view: ApplicationView | None) -> str:
    return render_template(
        "applications/form.html",
        form=form,
        application=view,
        channels=_channels(),
        units=list(UNITS),
        time_zones=time_zones(),
    )


def _url(application_id: int) -> str:
    return url_for("web.private.applications.show", application_id=application_id)

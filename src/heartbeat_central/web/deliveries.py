"""Alerts that did not arrive: the list of all channels, and trying one again."""

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from heartbeat_central.domain.errors import Conflict
from heartbeat_central.services.read_history import project_deliveries_page
from heartbeat_central.services.retry_delivery import retry_delivery
from heartbeat_central.storage.outbox import DeliveryStatus
from heartbeat_central.web.context import context
from heartbeat_central.web.query import ID, id_of
from heartbeat_central.web.session import project_id
from heartbeat_central.web.words import sentence

blueprint = Blueprint("deliveries", __name__)

PAGE = 50


@blueprint.get("/undelivered")
def undelivered() -> ResponseReturnValue:
    """List the dead letters of all channels, newest first."""
    rows = project_deliveries_page(
        context().database,
        project_id(),
        status=DeliveryStatus.DEAD,
        with_tests=False,
        limit=PAGE + 1,
        before_id=id_of("before"),
    )
    return render_template(
        "channels/undelivered.html",
        deliveries=rows[:PAGE],
        before=id_of("before"),
        next_before=rows[PAGE - 1].id if len(rows) > PAGE else None,
    )


@blueprint.post(f"/channels/<{ID}:channel_id>/deliveries/<{ID}:delivery_id>/retry")
def retry(channel_id: int, delivery_id: int) -> ResponseReturnValue:
    """Try one again, and show the page that the button was on."""
    try:
        retry_delivery(
            context().database, project_id(), channel_id, delivery_id, now=context().clock()
        )
    except Conflict as conflict:
        flash(sentence(str(conflict)), "danger")
    else:
        context().doorbell()
        flash("It is being sent again; its outcome shows at the channel.", "success")
    if request.form.get("from") == "undelivered":
        return redirect(url_for(".undelivered"), 303)
    return redirect(url_for("web.private.channels.show", channel_id=channel_id), 303)

"""Keys of the REST API: a new one is shown once; an old one can be revoked."""

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from heartbeat_central.domain.errors import Invalid, NotFound
from heartbeat_central.services import manage_api_keys as use
from heartbeat_central.web.context import context
from heartbeat_central.web.query import ID
from heartbeat_central.web.session import project_id
from heartbeat_central.web.words import sentence

blueprint = Blueprint("api_keys", __name__, url_prefix="/api-keys")


@blueprint.get("")
def index() -> ResponseReturnValue:
    """List the keys, with the form for another."""
    return _page()


@blueprint.post("")
def create() -> ResponseReturnValue:
    """Make a key and show it on this page only; it is kept nowhere in clear."""
    name, scope = request.form.get("name", "").strip(), request.form.get("scope", "")
    try:
        key, _ = use.create_api_key(
            context().database, project_id(), name, scope, now=context().clock()
        )
    except Invalid as invalid:
        errors = {error.field: sentence(error.message) for error in invalid.errors}
        return _page(name=name, scope=scope, errors=errors), 400
    return _page(key=key, key_name=name), 201


@blueprint.get(f"/<{ID}:key_id>/revoke")
def ask_to_revoke(key_id: int) -> ResponseReturnValue:
    """Ask whether it is meant, where there is no dialog to ask in."""
    keys = use.list_api_keys(context().database, project_id())
    key = next((key for key in keys if key.id == key_id), None)
    if key is None:
        raise NotFound("there is no such key")
    return render_template(
        "confirm.html",
        title=f"Revoke {key.name}?",
        text="Whatever still uses this key is refused from now on.",
        action=url_for(".revoke", key_id=key_id),
        button="Revoke key",
        back=url_for(".index"),
    )


@blueprint.post(f"/<{ID}:key_id>/revoke")
def revoke(key_id: int) -> ResponseReturnValue:
    """Make a key useless."""
    use.revoke_api_key(context().database, project_id(), key_id, now=context().clock())
    flash("The key is revoked.", "success")
    return redirect(url_for(".index"), 303)


def _page(
    *,
    name: str = "",
    scope: str = "read",
    errors: dict[str, str] | None = None,
    key: str | None = None,
    key_name: str = "",
) -> str:
    return render_template(
        "api_keys.html",
        keys=use.list_api_keys(context().database, project_id()),
        name=name,
        scope=scope,
        errors=errors or {},
        new_key=key,
        new_key_name=key_name,
    )

"""The first account, signing in and signing out."""

from flask import (
    Blueprint,
    Response,
    flash,
    make_response,
    redirect,
    render_template,
    request,
    url_for,
)
from flask import session as form_session
from flask.typing import ResponseReturnValue

from heartbeat_central.domain.errors import Conflict, Invalid, Unauthenticated
from heartbeat_central.services import manage_accounts as use
from heartbeat_central.services.limit_sign_ins import TooManyTries, count_try
from heartbeat_central.services.setup_link import is_setup_token
from heartbeat_central.web.context import context
from heartbeat_central.web.session import (
    SESSION_COOKIE,
    end_session,
    find_user,
    safe_path,
    start_session,
)
from heartbeat_central.web.words import sentence

blueprint = Blueprint("accounts", __name__)


@blueprint.get("/setup")
def setup() -> ResponseReturnValue:
    """Show the form for the first account to whoever has the link from the log."""
    return _refuse_setup() or render_template("account/setup.html", email="", errors={})


@blueprint.post("/setup")
def set_up() -> ResponseReturnValue:
    """Make the first account and sign in with it."""
    refused = _refuse_setup()
    if refused is not None:
        return refused
    email, password = request.form.get("email", ""), request.form.get("password", "")
    try:
        use.create_first_account(context().database, email, password, now=context().clock())
    except Conflict:
        return _exists_already()
    except Invalid as invalid:
        errors = {error.field: sentence(error.message) for error in invalid.errors}
        return render_template("account/setup.html", email=email, errors=errors), 400
    token = use.sign_in(context().database, email, password, now=context().clock())
    return _welcome(token, "/")


@blueprint.get("/sign-in")
def sign_in() -> ResponseReturnValue:
    """Show the form, or the dashboard to those who need it not."""
    wanted = safe_path(request.args.get("next"))
    if find_user() is not None:
        return redirect(wanted, 303)
    if use.count_users(context().database) == 0:
        return redirect(url_for("web.accounts.setup"), 303)
    return render_template("account/sign_in.html", email="", next=wanted, problem=None)


@blueprint.post("/sign-in")
def check() -> ResponseReturnValue:
    """Start a session, or say that address or password is wrong."""
    email = request.form.get("email", "")
    wanted = safe_path(request.form.get("next"))
    status = 401
    try:
        count_try(context().database, email, request.remote_addr or "", now=context().clock())
        token = use.sign_in(
            context().database, email, request.form.get("password", ""), now=context().clock()
        )
    except Unauthenticated:
        problem = "The e-mail address or the password is wrong."
    except TooManyTries:
        problem, status = "Too many tries. Wait a minute and try again.", 429
    else:
        return _welcome(token, wanted)
    page = render_template("account/sign_in.html", email=email, next=wanted, problem=problem)
    return page, status


@blueprint.post("/sign-out")
def sign_out() -> ResponseReturnValue:
    """End the session, here and in the database."""
    use.sign_out(context().database, request.cookies.get(SESSION_COOKIE, ""))
    form_session.clear()
    flash("You are signed out.", "success")
    return end_session(_redirect(url_for("web.accounts.sign_in")))


def _refuse_setup() -> ResponseReturnValue | None:
    if use.count_users(context().database) > 0:
        return _exists_already()
    if is_setup_token(context().secret_key, request.args.get("token", "")):
        return None
    return render_template("account/setup_link.html", given="token" in request.args), 403


def _exists_already() -> Response:
    if find_user() is not None:
        return _redirect("/")
    flash("This service is set up already. Sign in with your account.", "info")
    return _redirect(url_for("web.accounts.sign_in"))


def _welcome(token: str, target: str) -> Response:
    # A token that was planted before signing in must not be worth anything afterwards.
    form_session.clear()
    form_session.permanent = True
    return start_session(_redirect(target), token)


def _redirect(target: str) -> Response:
    return make_response(redirect(target, 303))

"""The first account, signing in and out, and what nobody may see without it."""

import pytest

from tests.support.visitor import Visitor
from tests.web.conftest import EMAIL, ON_SQLITE, PASSWORD, Site

pytestmark = ON_SQLITE

NEW_ACCOUNT = {"email": EMAIL, "password": PASSWORD}


def test_the_link_from_the_log_makes_the_first_account_and_signs_in(site: Site) -> None:
    visitor = site.visitor()
    page = visitor.submit(visitor.get(site.setup_path), "Create account", NEW_ACCOUNT)
    assert (page.status, page.heading) == (200, "Applications")
    assert "Nothing is watched yet" in page.text
    assert page.link("Register the first application") == "/applications/new"


@pytest.mark.parametrize("path", ["/", "/sign-in", "/channels"])
def test_before_the_first_account_every_way_leads_to_setting_up(site: Site, path: str) -> None:
    page = site.visitor().get(path)
    assert (page.status, page.heading) == (403, "Almost there")
    assert "https://beats.example.org/setup?token=…" in page.text


@pytest.mark.parametrize("token", ["", "wrong", "%00", "%FF", "x" * 5000])
def test_a_wrong_link_makes_no_account(site: Site, token: str) -> None:
    visitor = site.visitor()
    page = visitor.get(f"/setup?token={token}")
    assert (page.status, page.heading) == (403, "This link is not valid")
    assert not page.soup.select("form")
    # Nor does a form that was sent without the page, once one has a token to send with it.
    visitor.get("/sign-in")
    assert visitor.post(f"/setup?token={token}", NEW_ACCOUNT).status in (400, 403)
    assert visitor.get("/").heading == "Almost there"


def test_the_link_is_worth_nothing_once_there_is_an_account(site: Site) -> None:
    late = site.visitor()
    form = late.get(site.setup_path)
    site.add_user()
    page = late.submit(form, "Create account", {"email": "eve@example.com", "password": PASSWORD})
    assert page.heading == "Sign in"
    assert "set up already" in page.alerts[0]
    assert late.get(site.setup_path).heading == "Sign in"
    refused = late.submit(
        late.get("/sign-in"), "Sign in", {"email": "eve@example.com", "password": PASSWORD}
    )
    assert refused.status == 401


@pytest.mark.parametrize(
    ("email", "password", "wrong"),
    [
        ("ada", PASSWORD, "email"),
        ("", PASSWORD, "email"),
        (EMAIL, "short", "password"),
        (EMAIL, "x" * 1001, "password"),
    ],
)
def test_setting_up_says_what_is_wrong_and_keeps_the_address(
    site: Site, email: str, password: str, wrong: str
) -> None:
    visitor = site.visitor()
    page = visitor.submit(
        visitor.get(site.setup_path), "Create account", {"email": email, "password": password}
    )
    assert page.status == 400
    assert list(page.errors) == [wrong]
    assert page.one("#email")["value"] == email
    assert password not in page.body.decode() or not password


def test_signs_in_and_out(site: Site) -> None:
    site.add_user()
    visitor = site.visitor()
    form = visitor.get("/")
    assert form.heading == "Sign in"
    page = visitor.submit(form, "Sign in", {"email": " Ada@Example.com ", "password": PASSWORD})
    assert page.heading == "Applications"
    thief = visitor.twin()

    page = visitor.submit(page, "Sign out")
    assert (page.heading, page.alerts) == ("Sign in", ["You are signed out."])
    assert visitor.get("/channels").heading == "Sign in"
    # The session is gone on the server, not only the cookie in this browser.
    assert thief.get("/").heading == "Sign in"


@pytest.mark.parametrize(
    ("email", "password"),
    [
        (EMAIL, "wrong"),
        (EMAIL, ""),
        ("", ""),
        ("nobody@example.com", PASSWORD),
        (EMAIL + "\x00", PASSWORD),
        ("' OR 1=1 --", "x"),
        (EMAIL, "x" * 100_000),
    ],
)
def test_a_wrong_password_or_address_says_so_and_not_which(
    site: Site, email: str, password: str
) -> None:
    site.add_user()
    visitor = site.visitor()
    page = visitor.submit(
        visitor.get("/sign-in"), "Sign in", {"email": email, "password": password}
    )
    assert page.status == 401
    assert page.alerts == ["The e-mail address or the password is wrong."]
    assert visitor.get("/").heading == "Sign in"


def test_passwords_can_not_be_guessed_by_trying(site: Site) -> None:
    site.add_user()
    visitor = site.visitor()
    form = visitor.get("/sign-in")
    tries = [
        visitor.submit(form, "Sign in", {"email": EMAIL, "password": f"guess {number}"}).status
        for number in range(11)
    ]
    assert tries == [401] * 10 + [429]
    # Not even the right one, now; and somebody else is not locked out by it.
    page = visitor.submit(form, "Sign in", {"email": EMAIL, "password": PASSWORD})
    assert (page.status, page.alerts) == (429, ["Too many tries. Wait a minute and try again."])
    site.add_user("bob@example.com")
    page = visitor.submit(form, "Sign in", {"email": "bob@example.com", "password": PASSWORD})
    assert page.heading == "Applications"


def test_signing_in_leads_to_the_page_that_was_asked_for(site: Site) -> None:
    site.add_user()
    visitor = site.visitor()
    form = visitor.get("/channels?before=7")
    page = visitor.submit(form, "Sign in", {"email": EMAIL, "password": PASSWORD})
    assert page.heading == "Channels"


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example",
        "\\\\evil.example",
        "javascript:alert(1)",
        "/%0d%0aSet-Cookie:x=y",
        "/\r\nSet-Cookie: x=y",
        " //evil.example",
        "",
    ],
)
def test_signing_in_leads_to_no_other_site(site: Site, target: str) -> None:
    site.add_user()
    visitor = site.visitor()
    form = visitor.get("/sign-in")
    page = visitor.submit(
        form, "Sign in", {"email": EMAIL, "password": PASSWORD, "next": target}, follow=False
    )
    assert page.status == 303
    location = page.headers["location"]
    assert location.startswith("/")
    assert not location.startswith(("//", "/\\"))
    assert "x" not in visitor.cookies


def test_a_signed_in_person_needs_no_form(ada: Visitor) -> None:
    assert ada.get("/sign-in").heading == "Applications"


def test_the_session_cookie_is_for_the_server_alone(site: Site) -> None:
    site.add_user()
    visitor = site.visitor()
    page = visitor.submit(
        visitor.get("/sign-in"), "Sign in", {"email": EMAIL, "password": PASSWORD}, follow=False
    )
    cookie = page.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    # The site is told to be reached by https.
    assert "Secure" in cookie


def test_a_planted_form_token_is_worth_nothing_after_signing_in(site: Site) -> None:
    site.add_user()
    visitor = site.visitor()
    form = visitor.get("/sign-in")
    planted = str(form.one("[name=csrf_token]")["value"])
    visitor.submit(form, "Sign in", {"email": EMAIL, "password": PASSWORD})
    assert (
        visitor.post("/api-keys", {"csrf_token": planted, "name": "x", "scope": "read"}).status
        == 400
    )

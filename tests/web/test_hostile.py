"""What strangers and nonsense get: never an error of ours, never somebody's data, never a script."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from werkzeug.routing import BaseConverter, Rule

from heartbeat_central.domain.signal import SignalKind
from heartbeat_central.web.query import IdConverter
from tests.support.sample_alerts import HOSTILE_NAMES
from tests.support.visitor import Page, Visitor
from tests.web.conftest import ON_SQLITE, Site

OPEN = {"/setup", "/sign-in", "/sign-out"}
"""Pages for those who aren't signed in."""
IDS = [
    "0",
    "99",
    str(2**31),
    str(2**53 + 1),
    str(2**63 - 1),
    str(2**63),
    str(2**64),
    "9" * 200,
    "9" * 5000,
    "-1",
    "1.5",
    "0x1",
    "%D9%A1",
    "%00",
    "1%00",
    "nope",
]
NONSENSE = [
    "",
    "%00",
    "a%00b",
    "%FF%FE",
    "%ED%A0%80",
    "%F0%9F%94%A5",
    "-1",
    "1.5",
    str(2**63),
    "9" * 4000,
    "'%20OR%201=1--",
    "%22%3E%3Cscript%3Ealert(1)%3C/script%3E",
    "{{7*7}}",
    "%25%25%25_%5C",
    "..%2f..%2f",
    "MA",
    "MC4w",
    "LTEuMQ",
    "OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTkuMQ",
    "MS45OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk",
    "%0d%0aX-Evil:%20yes",
]
PARAMETERS = ("search", "status", "tag", "before", "outages", "next", "token", "v", "limit", "x")

BREAKING_OUT = (
    "html",
    "json",
    "form separators",
    "format strings",
    "line breaks",
    "right to left",
    "lone surrogate",
    "very long",
)
"""The names that mean something to a page."""


def rules(site: Site, method: str) -> Iterator[Rule]:
    """The routes of the pages that take this method."""
    for rule in site.app.url_map.iter_rules():
        if rule.endpoint.startswith("web.") and rule.endpoint != "web.static":
            assert rule.methods is not None
            if method in rule.methods:
                yield rule


def paths(
    site: Site, method: str, value: str, *, only: type[BaseConverter] | None = None
) -> Iterator[str]:
    """Their paths, with `value` in the place of what may vary; `only` those with such a place."""
    for rule in rules(site, method):
        kinds = [type(converter) for converter in rule._converters.values()]
        if only is None or only in kinds:
            yield "".join(value if varies else text for varies, text in rule._trace if text != "|")


def test_an_id_of_nothing_is_not_found(ada: Visitor, site: Site) -> None:
    token = str(ada.get("/api-keys").one("[name=csrf_token]")["value"])
    for value in IDS:
        for path in paths(site, "GET", value, only=IdConverter):
            page = ada.get(path)
            assert (page.status, page.heading) == (404, "Nothing here"), path
        for path in paths(site, "POST", value, only=IdConverter):
            assert ada.post(path, {"csrf_token": token}).status == 404, path


def test_a_hostile_address_or_password_is_a_wrong_one(site: Site) -> None:
    site.add_user()
    visitor = site.visitor()
    form = visitor.get("/sign-in")
    for value in ("\x00", "ada@example.com\x00", "🔥@🔥", "%", "x" * 100_000, "' OR 1=1 --"):
        for name in ("email", "password"):
            page = visitor.submit(form, "Sign in", {name: value})
            assert page.status == 401, value


def test_a_hostile_query_is_no_error_on_any_page(ada: Visitor, site: Site) -> None:
    view = site.watch("Backup", tags=["night"])
    site.beat(view, SignalKind.FAIL)
    channel = site.world.webhook("http://127.0.0.1:9/")
    assert channel == view.id == 1
    for path in paths(site, "GET", "1"):
        for value in NONSENSE:
            query = "&".join(f"{name}={value}" for name in PARAMETERS)
            page = ada.get(f"{path}?{query}", follow=False)
            assert page.status < 500, f"{path}?{query}"
            assert "x-evil" not in page.headers
            assert b"<script>alert(1)" not in page.body


def test_a_cursor_that_is_none_is_no_error(ada: Visitor, site: Site) -> None:
    view = site.watch()
    site.beat(view, body=b"here", body_size=4)
    channel = site.world.webhook("http://127.0.0.1:9/")
    for value in NONSENSE:
        for path in (
            f"/applications/{view.id}?before={value}&outages={value}",
            f"/fragments/applications/{view.id}?before={value}&outages={value}",
            f"/channels/{channel}?before={value}",
            f"/?before={value}",
        ):
            assert ada.get(path).status == 200, path


@pytest.mark.parametrize("path", ["/applications/new", "/channels/new/webhook", "/api-keys"])
def test_hostile_form_fields_are_no_error(ada: Visitor, site: Site, path: str) -> None:
    for value in ("\x00", "a\x00b", "\ud800", "🔥" * 300, "x" * 300_000):
        send_everywhere(ada, path, value)


def send_everywhere(ada: Visitor, path: str, value: str) -> None:
    """Fill in every field of the form on this page with `value` and send it."""
    page = ada.get(path)
    token = str(page.one("[name=csrf_token]")["value"])
    names = {str(one["name"]) for one in page.soup.select("main [name]")} | {"channels", "kind"}
    sent = "&".join(
        f"{name}={quote(value.encode('utf-8', 'surrogatepass'))}" for name in names - {"csrf_token"}
    )
    answer = ada.request("POST", path, f"csrf_token={token}&{sent}")
    assert answer.status < 500


@ON_SQLITE
def test_a_method_that_no_page_takes(ada: Visitor) -> None:
    for method in ("PUT", "PATCH", "DELETE", "BREW"):
        assert ada.request(method, "/channels").status in (400, 405), method


class TestStrangers:
    pytestmark = ON_SQLITE

    def test_see_no_page_but_those_to_come_in(self, site: Site) -> None:
        site.add_user()
        seen = set()
        for path in paths(site, "GET", "1"):
            page = site.visitor().get(path, follow=False)
            seen.add(path)
            if path not in OPEN:
                assert page.status == 303, path
                assert page.headers["location"].startswith("/sign-in"), path
                assert len(page.body) < 1000
        assert len(seen) > 15

    @pytest.mark.parametrize("cookie", ["", "x", "\u00e9", "x" * 4000, '"; hbc_session=1', "a=b"])
    def test_are_not_let_in_by_a_made_up_cookie(self, site: Site, cookie: str) -> None:
        site.add_user()
        visitor = Visitor(site.port, {"hbc_session": cookie, "hbc_form": cookie})
        assert visitor.get("/").heading == "Sign in"

    def test_change_nothing(self, site: Site) -> None:
        site.add_user()
        view = site.watch()
        visitor = site.visitor()
        token = str(visitor.get("/sign-in").one("[name=csrf_token]")["value"])
        for path in paths(site, "POST", "1"):
            if path not in OPEN:
                page = visitor.post(path, {"csrf_token": token}, follow=False)
                assert page.status == 303, path
                assert page.headers["location"] == "/sign-in"
        assert site.world.look(view, 0).name == "Backup"


class TestForgery:
    """A page of somebody else's makes the browser of a signed-in person send a form."""

    pytestmark = ON_SQLITE

    @pytest.mark.parametrize("token", [None, "", "x", "IjEi.aaaaaa.bbbbbb"])
    def test_is_refused_everywhere(self, ada: Visitor, site: Site, token: str | None) -> None:
        view = site.watch()
        ada.get("/")
        values: dict[str, Any] = {"name": "forged", "scope": "write", "interval": "60"}
        if token is not None:
            values["csrf_token"] = token
        tried = 0
        for path in paths(site, "POST", "1"):
            page = ada.post(path, values)
            assert page.status == 400, path
            assert "This form is no longer valid" in page.text
            tried += 1
        assert tried > 10
        assert ada.get(f"/applications/{view.id}").heading == "Backup New"
        assert ada.get("/").heading == "Applications"

    def test_with_the_token_of_another_person_is_refused(self, ada: Visitor, site: Site) -> None:
        other = site.visitor()
        token = str(other.get("/sign-in").one("[name=csrf_token]")["value"])
        page = ada.post("/api-keys", {"csrf_token": token, "name": "x", "scope": "write"})
        assert page.status == 400
        assert "x" not in ada.get("/api-keys").texts("tbody td")

    def test_by_a_link_changes_nothing(self, ada: Visitor, site: Site) -> None:
        view = site.watch()
        for path in paths(site, "POST", "1"):
            ada.get(path)
        assert ada.get(f"/applications/{view.id}").heading == "Backup New"


class TestNames:
    """Whatever people and programs call things is shown as it is, and does nothing."""

    pytestmark = ON_SQLITE

    def test_are_text_on_every_page(self, ada: Visitor, site: Site) -> None:
        for kind in BREAKING_OUT:
            name = HOSTILE_NAMES[kind]
            # Neither can be stored; the API says so.
            name = name.replace("\x00", "").replace("\ud800", "")[:200].strip()
            channel = site.world.webhook("http://127.0.0.1:9/", name)
            view = site.watch(name, tags=[name[:50].strip()], description=name, channels=[channel])
            site.beat(
                view,
                SignalKind.FAIL,
                body=name.encode(),
                body_size=len(name.encode()),
                user_agent=name,
            )
            page = ada.submit(ada.get("/api-keys"), "Create key", {"name": name})
            assert " ".join(name.split()) in page.text
            harmless(page)
            for path in (
                f"/applications/{view.id}",
                f"/applications/{view.id}/edit",
                f"/applications/{view.id}/delete",
                f"/channels/{channel}",
                f"/channels/{channel}/edit",
                f"/channels/{channel}/delete",
            ):
                page = ada.get(path)
                harmless(page)
                shown = [str(one["value"]) for one in page.soup.select("#name")] or page.texts("h1")
                assert " ".join(name.split())[:100] in " ".join(" ".join(shown).split()), path
        for path in ("/", "/channels", "/applications/new"):
            harmless(ada.get(path))


def harmless(page: Page) -> None:
    """Nothing on the page runs, and nothing leads away."""
    assert page.status in (200, 201)
    for one in page.soup.select("script"):
        assert str(one.get("src", "")).startswith("/static/")
        assert not one.get_text()
    for element in page.soup.find_all(True):
        assert not [name for name in element.attrs if name.startswith("on")]
    for one in page.soup.select("[href], [src], [action]"):
        target = str(one.get("href") or one.get("src") or one.get("action"))
        assert target.startswith(("/", "#")), target


@ON_SQLITE
def test_headers_tell_the_browser_to_run_nothing_but_our_own(ada: Visitor, site: Site) -> None:
    for path in ("/", "/sign-in", "/nope", "/api-keys"):
        headers = ada.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'self'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"
        assert headers["cache-control"] == "no-store"


@ON_SQLITE
def test_static_files_are_kept_for_long_by_their_content(ada: Visitor) -> None:
    page = ada.get("/")
    addresses = [
        str(one.get("href") or one.get("src"))
        for one in page.soup.select("link[href], script[src], img[src]")
    ]
    assert len(addresses) > 8
    for address in addresses:
        answer = ada.get(address)
        assert answer.status == 200, address
        assert "immutable" in answer.headers["cache-control"]
    assert "immutable" not in ada.get("/static/css/app.css").headers["cache-control"]
    for nope in ("/static/", "/static/nope.css", "/static/..%2f__init__.py", "/static/css/%00"):
        assert ada.get(nope).status == 404, nope


@ON_SQLITE
def test_a_database_that_is_away_is_told_and_blamed_on_nobody(
    ada: Visitor, site: Site, tmp_path: Path
) -> None:
    site.world.database.close()
    for file in tmp_path.glob("heartbeat.sqlite3*"):
        file.unlink()
    (tmp_path / "heartbeat.sqlite3").mkdir()
    for path in ("/", "/channels", "/sign-in"):
        page = ada.get(path)
        assert (page.status, page.heading) == (503, "The database is away")
        assert page.headers["retry-after"] == "2"
        assert page.link("Try again") == path
    # The cookie is kept: it will be worth something again.
    assert "hbc_session" in ada.cookies

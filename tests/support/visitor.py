"""A browser without scripts: follows links, fills in forms as they were served, keeps cookies."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from http.client import HTTPConnection
from http.cookies import SimpleCookie
from typing import Self
from urllib.parse import urlencode, urljoin, urlsplit

from bs4 import BeautifulSoup, Tag

Value = str | bool | Sequence[str]
"""What to put into a field: text, whether it is checked, or which of its boxes are."""


@dataclass(frozen=True)
class Page:
    """What was answered."""

    path: str
    """Path and query of the last request."""
    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes

    @cached_property
    def soup(self) -> BeautifulSoup:
        return BeautifulSoup(self.body, "html.parser")

    @property
    def text(self) -> str:
        """All that is read on it, with single spaces."""
        return " ".join(self.soup.get_text(" ").split())

    @property
    def heading(self) -> str:
        return " ".join(self.one("h1").get_text().split())

    @property
    def alerts(self) -> list[str]:
        """The messages on top of the page."""
        return [" ".join(one.get_text().split()) for one in self.soup.select(".alert")]

    @property
    def errors(self) -> dict[str, str]:
        """What is said to be wrong, by the name of the field that points to it."""
        found = {}
        for told in self.soup.select(".invalid-feedback"):
            pointing = self.soup.select_one(f'[aria-describedby~="{told["id"]}"]')
            name = str(pointing["name"]) if pointing else str(told["id"])
            found[name] = told.get_text()
        return found

    def one(self, selector: str) -> Tag:
        found = self.soup.select_one(selector)
        assert found is not None, f"no {selector} on {self.path}:\n{self.text}"
        return found

    def texts(self, selector: str) -> list[str]:
        return [" ".join(one.get_text().split()) for one in self.soup.select(selector)]

    def link(self, words: str) -> str:
        """The address behind the link with these words."""
        for one in self.soup.select("a[href]"):
            if words in (" ".join(one.get_text().split()), one.get("aria-label")):
                return urljoin(self.path, str(one["href"]))
        raise AssertionError(f"no link {words!r} on {self.path}:\n{self.text}")


@dataclass
class Visitor:
    """One person at one browser."""

    port: int
    cookies: dict[str, str] = field(default_factory=dict)

    def get(
        self, path: str, headers: Mapping[str, str] | None = None, *, follow: bool = True
    ) -> Page:
        return self.request("GET", path, headers=headers, follow=follow)

    def post(
        self, path: str, values: Mapping[str, Value] | None = None, *, follow: bool = True
    ) -> Page:
        """Send values that no form has checked, and no token."""
        return self.request("POST", path, urlencode(values or {}, doseq=True), follow=follow)

    def submit(
        self,
        page: Page,
        button: str,
        values: Mapping[str, Value] | None = None,
        *,
        follow: bool = True,
    ) -> Page:
        """Fill in the form that has this button and send it."""
        form = _form(page, button)
        action = urljoin(page.path, str(form.get("action") or page.path))
        sent = urlencode(_filled_in(form, values or {}))
        if str(form.get("method", "get")).lower() == "get":
            return self.request("GET", f"{urlsplit(action).path}?{sent}", follow=follow)
        return self.request("POST", action, sent, follow=follow)

    def request(
        self,
        method: str,
        path: str,
        form: str | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        follow: bool = True,
    ) -> Page:
        page = self._once(method, path, form, headers or {})
        hops = 0
        while follow and page.status in (302, 303):
            page = self._once("GET", urljoin(path, page.headers["location"]), None, {})
            hops += 1
            assert hops < 5, page.headers["location"]
        return page

    def twin(self) -> Self:
        """The same browser as it is now, to see what its cookies are worth later."""
        return type(self)(self.port, dict(self.cookies))

    def _once(self, method: str, path: str, form: str | None, extra: Mapping[str, str]) -> Page:
        headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}
        if form is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        connection = HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, body=form, headers={**headers, **extra})
            answer = connection.getresponse()
            body = answer.read()
        finally:
            connection.close()
        for line in answer.headers.get_all("Set-Cookie") or ():
            for name, morsel in SimpleCookie(line).items():
                self.cookies[name] = morsel.value
                if not morsel.value:
                    del self.cookies[name]
        return Page(
            path=path,
            status=answer.status,
            headers={name.lower(): value for name, value in answer.headers.items()},
            body=body,
        )


def _form(page: Page, button: str) -> Tag:
    for form in page.soup.select("form"):
        for one in form.select("button"):
            if " ".join(one.get_text().split()) == button:
                return form
    raise AssertionError(f"no form with a button {button!r} on {page.path}:\n{page.text}")


def _filled_in(form: Tag, values: Mapping[str, Value]) -> list[tuple[str, str]]:
    """Return what a browser would send, with `values` put in by the names of the fields."""
    sent: list[tuple[str, str]] = []
    known = set()
    for one in form.select("input[name], select[name], textarea[name]"):
        name, kind = str(one["name"]), str(one.get("type", ""))
        known.add(name)
        given = values.get(name)
        if kind in ("checkbox", "radio"):
            value = str(one.get("value", "on"))
            checked = one.has_attr("checked")
            if given is not None:
                checked = given if isinstance(given, bool) else value in _several(given)
            if checked:
                sent.append((name, value))
        elif given is not None:
            sent.append((name, str(given)))
        elif one.name == "select":
            chosen = one.select_one("option[selected]") or one.select_one("option")
            sent.append((name, str(chosen.get("value", chosen.get_text())) if chosen else ""))
        elif one.name == "textarea":
            # A browser drops the line feed that follows the tag, and sends CR LF.
            sent.append((name, one.get_text().removeprefix("\n").replace("\n", "\r\n")))
        else:
            sent.append((name, str(one.get("value", ""))))
    assert known >= values.keys(), f"no such fields: {values.keys() - known}"
    return sent


def _several(given: str | Sequence[str]) -> Sequence[str]:
    return [given] if isinstance(given, str) else given

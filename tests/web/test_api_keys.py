"""API keys on the pages: made, shown once, revoked."""

import pytest

from tests.support.visitor import Visitor
from tests.web.conftest import ON_SQLITE, Site

pytestmark = ON_SQLITE


def works(site: Site, key: str, method: str = "GET") -> int:
    """The status that a request with this key gets."""
    return (
        site.visitor()
        .request(method, "/api/applications", headers={"Authorization": f"Bearer {key}"})
        .status
    )


@pytest.mark.parametrize(("scope", "may_write"), [("read", False), ("write", True)])
def test_a_new_key_is_shown_once_and_works(
    ada: Visitor, site: Site, scope: str, may_write: bool
) -> None:
    page = ada.submit(ada.get("/api-keys"), "Create key", {"name": "Deploy", "scope": scope})
    assert page.status == 201
    key = str(page.one("#new-key")["value"])
    assert works(site, key) == 200
    # It may write when the request gets as far as being read.
    assert (works(site, key, "POST") != 403) == may_write
    assert key not in ada.get("/api-keys").body.decode()
    assert page.headers["cache-control"] == "no-store"


def test_a_revoked_key_works_no_more(ada: Visitor, site: Site) -> None:
    page = ada.submit(ada.get("/api-keys"), "Create key", {"name": "Deploy"})
    key = str(page.one("#new-key")["value"])
    asked = ada.get(page.link("Revoke Deploy"))
    assert asked.heading == "Revoke Deploy?"
    assert works(site, key) == 200
    page = ada.submit(asked, "Revoke key")
    assert page.alerts == ["The key is revoked."]
    assert works(site, key) == 401
    assert page.texts("tbody .status") == ["Revoked"]
    assert not page.soup.select("tbody .btn")


@pytest.mark.parametrize("name", ["", "   ", "x" * 201])
def test_a_key_needs_a_name(ada: Visitor, name: str) -> None:
    page = ada.submit(ada.get("/api-keys"), "Create key", {"name": name})
    assert page.status == 400
    assert page.errors.keys() == {"name"}
    assert not page.soup.select("#new-key")


def test_a_scope_that_is_none_is_refused(ada: Visitor) -> None:
    page = ada.submit(ada.get("/api-keys"), "Create key", {"name": "x", "scope": "everything"})
    assert page.status == 400
    assert page.errors.keys() == {"scope"}

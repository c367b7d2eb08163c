"""/api/docs in a browser: it works under its own policy and asks nobody but this service."""

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from tests.integration.api.conftest import Api

if TYPE_CHECKING:
    from playwright.sync_api import Page


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_it_shows_every_operation_and_lets_people_try_one(api: Api, page: "Page") -> None:
    api.application("Nightly backup")
    complaints: list[str] = []
    hosts: set[str] = set()
    page.on("console", lambda one: complaints.append(one.text) if one.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: hosts.add(urlsplit(request.url).netloc))
    page.goto(f"http://127.0.0.1:{api.port}/api/docs")
    page.locator(".opblock").first.wait_for()
    described = api.get("/api/openapi.json").json["paths"].values()
    assert page.locator(".opblock").count() == sum(len(path) for path in described)

    page.get_by_role("button", name="Authorize").first.click()
    form = page.locator(".auth-container").filter(has=page.locator("#auth-bearer-value"))
    form.locator("#auth-bearer-value").fill(api.key)
    form.get_by_role("button", name="Apply credentials").click()
    page.get_by_role("button", name="Close").first.click()
    listing = page.locator("#operations-applications-applications_list_get")
    listing.locator(".opblock-summary-control").click()
    listing.get_by_role("button", name="Try it out").click()
    listing.get_by_role("button", name="Execute").click()
    shown = listing.locator(".live-responses-table .response .highlight-code")
    shown.first.wait_for()
    assert "Nightly backup" in shown.first.inner_text()
    assert complaints == []
    assert hosts <= {f"127.0.0.1:{api.port}", ""}

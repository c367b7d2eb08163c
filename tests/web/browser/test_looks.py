"""Every page on a phone and on a screen, light and dark: nothing sticks out, everybody can read it."""

from collections.abc import Sequence
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.support.service import Service
from tests.web.browser.conftest import PHONE, WIDE, Window

LONG = "Certificate-renewal-of-all-the-hosts-in-the-basement-and-the-attic " * 2


@pytest.fixture(scope="module")
def paths(service: Service) -> dict[str, str]:
    """The pages, filled with what makes them wide and long."""
    channel = service.api(
        "POST",
        "/channels",
        {
            "name": "X" * 60 + " hook",
            "type": "webhook",
            "config": {
                "url": "http://127.0.0.1:9/" + "long-path/" * 15,
                "secret": "whsec_b3VyLW93bi1zaWduaW5nLXNlY3JldA==",
                "headers": {"X-Very-Long-Header-Name-Of-Ours": "value"},
            },
        },
    )["id"]
    service.api("POST", f"/channels/{channel}/test")

    def watch(name: str, **more: Any) -> dict[str, Any]:
        given = {"name": name, "expected_interval": 3600, "channels": "*", **more}
        answer: dict[str, Any] = service.api("POST", "/applications", given)
        return answer

    busy = watch(
        LONG.strip()[:190],
        tags=["production", "T" * 90],
        description="What to do: " + "https://wiki.example.com/" + "x" * 200,
    )
    service.beat(busy, "/start")
    service.request("POST", f"/heartbeat/{busy['uuid']}/7", b"disk full\n" * 40)
    service.request("POST", f"/heartbeat/{busy['uuid']}", b"w" * 300)
    service.request("POST", f"/heartbeat/{busy['uuid']}/fail", b"short")
    service.beat(watch("Up"))
    service.beat(watch("Late", expected_interval=1, grace_period=10_000))
    service.beat(watch("Running"), "/start")
    fresh = watch(
        "New",
        expected_interval=None,
        schedule={"kind": "cron", "expression": "1,2,3,4,5,6,7 2 * * *", "timezone": "UTC"},
    )
    paused = watch("Paused")
    service.api("POST", f"/applications/{paused['id']}/pause")
    return {
        "the list": "/",
        "a search without result": "/?search=nothing&status=down",
        "an application with history": f"/applications/{busy['id']}",
        "a new application": f"/applications/{fresh['id']}",
        "changing an application": f"/applications/{busy['id']}/edit",
        "registering one": "/applications/new",
        "deleting one": f"/applications/{busy['id']}/delete",
        "the channels": "/channels",
        "kinds of channels": "/channels/new",
        "a channel": f"/channels/{channel}",
        "changing a channel": f"/channels/{channel}/edit",
        "adding a channel": "/channels/new/email",
        "undelivered alerts": "/undelivered",
        "the keys": "/api-keys",
        "nothing": "/nope",
    }


def looks_right(page: Page, what: str, *, rules: Sequence[str] = ()) -> None:
    """Nothing sticks out, and axe finds nothing (of these rules; of all, without)."""
    nothing_sticks_out(page, what)
    options = {"runOnly": list(rules)} if rules else {}
    found = Axe().run(page, options=options).response["violations"]
    told = [(one["id"], [node["html"][:200] for node in one["nodes"]]) for one in found]
    assert told == [], what


def nothing_sticks_out(page: Page, what: str) -> None:
    overflow = page.evaluate(
        """() => [...document.querySelectorAll("body *")]
            .filter((one) => one.getBoundingClientRect().right > innerWidth + 1)
            .filter((one) => !one.closest("pre, .nav-tabs, .visually-hidden, .modal"))
            .filter((one) => one.checkVisibility())
            .map((one) => one.outerHTML.slice(0, 120))"""
    )
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), (what, overflow)
    assert overflow == [], what


@pytest.mark.parametrize(
    ("screen", "colours"), [(PHONE, "light"), (WIDE, "dark")], ids=["phone", "dark"]
)
def test_every_page(
    window: Window, paths: dict[str, str], screen: dict[str, int], colours: Any
) -> None:
    with window.open(viewport=screen, color_scheme=colours) as page:
        for what, path in paths.items():
            page.goto(path)
            # What is no matter of colours has been looked at in light.
            looks_right(page, what, rules=["color-contrast"] if colours == "dark" else [])
            background = page.evaluate("getComputedStyle(document.body).backgroundColor")
            red = int(background.split("(")[1].split(",")[0])
            assert (red < 60) == (colours == "dark"), what


def test_what_only_shows_when_asked_for(window: Window, paths: dict[str, str]) -> None:
    with window.open(viewport=PHONE) as page:
        page.goto(paths["an application with history"])
        closed = page.locator("details:not([open]) > summary")
        while closed.count():
            closed.first.click()
        for tab in page.get_by_role("tab").all():
            tab.click()
            expect(tab).to_have_attribute("aria-selected", "true")
            nothing_sticks_out(page, "snippets and bodies, opened")
        looks_right(page, "the last snippet")
        page.get_by_role("link", name="Delete").click()
        expect(page.get_by_role("dialog")).to_be_visible()
        looks_right(page, "the dialog")
        page.keyboard.press("Escape")

        page.goto("/applications/new")
        page.get_by_label("Cron", exact=True).check()
        page.get_by_role("button", name="Register application").click()
        expect(page.locator(".invalid-feedback")).to_have_count(2)
        looks_right(page, "a form that is wrong")
        page.goto("/channels/new/webhook")
        page.get_by_role("button", name="Add channel").click()
        looks_right(page, "a channel's form that is wrong")
        page.goto("/api-keys")
        page.get_by_label("Name").fill("Deploy")
        page.get_by_role("button", name="Create key").click()
        looks_right(page, "a new key")


def test_pages_for_those_who_are_not_signed_in(window: Window) -> None:
    for colours in ("light", "dark"):
        with window.open(signed_in=False, viewport=PHONE, color_scheme=colours) as page:
            page.goto("/sign-in")
            looks_right(page, "signing in")
            page.get_by_label("E-mail address").fill("ada@example.com")
            page.get_by_label("Password").fill("wrong")
            page.get_by_role("button", name="Sign in").click()
            expect(page.get_by_role("alert")).to_be_visible()
            looks_right(page, "a wrong password")


def test_colours_are_as_chosen_and_stay_so(window: Window) -> None:
    with window.open(color_scheme="light") as page:
        page.goto("/")
        html = page.locator("html")
        expect(html).to_have_attribute("data-bs-theme", "light")
        page.get_by_role("button", name="Colours").click()
        page.get_by_role("button", name="Dark").click()
        expect(html).to_have_attribute("data-bs-theme", "dark")
        page.goto("/channels")
        expect(html).to_have_attribute("data-bs-theme", "dark")
        page.get_by_role("button", name="Colours").click()
        page.get_by_role("button", name="As the system").click()
        expect(html).to_have_attribute("data-bs-theme", "light")
        page.emulate_media(color_scheme="dark")
        expect(html).to_have_attribute("data-bs-theme", "dark")

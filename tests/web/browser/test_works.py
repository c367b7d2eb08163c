"""What needs a browser: live updates, the keyboard, copying, dialogs; and doing without scripts."""

import re
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.support.receivers.http import HttpReceiver
from tests.support.service import Service
from tests.web.browser.conftest import EMAIL, PASSWORD, PHONE, Window

LIVE = 10_000
"""Milliseconds that a change may take to show; the service looks for one every second."""


@pytest.fixture(autouse=True)
def _tidy(service: Service) -> None:
    """Begin with no application and no channel."""
    for kind in ("applications", "channels"):
        for one in service.api("GET", f"/{kind}?limit=1000"):
            service.api("DELETE", f"/{kind}/{one['id']}")


def watch(service: Service, name: str = "Nightly backup", **more: Any) -> dict[str, Any]:
    given = {"name": name, "expected_interval": 3600, **more}
    made: dict[str, Any] = service.api("POST", "/applications", given)
    return made


def mark(page: Page) -> None:
    """Mark the document: the mark is gone once the page has been loaded anew."""
    page.evaluate("window.marked = true")


def is_marked(page: Page) -> bool:
    return bool(page.evaluate("window.marked === true"))


def tab_to(page: Page, target: Locator, *, most: int = 60) -> None:
    """Press Tab until the focus is on `target`, and demand that it can be seen there."""
    for _ in range(most):
        page.keyboard.press("Tab")
        # The mark fades in: on a busy machine there may be nothing of it at first.
        page.wait_for_function(
            """() => {
                const one = document.activeElement;
                const style = getComputedStyle(one);
                return one === document.body || style.outlineStyle !== "none"
                    || style.boxShadow !== "none" || one.matches("option");
            }"""
        )
        if target.evaluate("(one) => one === document.activeElement"):
            return
    raise AssertionError(f"{most} times Tab did not lead to {target}")


def test_the_list_follows_what_happens(page: Page, service: Service) -> None:
    shop = watch(service, "Shop")
    page.goto("/")
    row = page.locator("tr", has_text="Shop")
    expect(row.locator(".status")).to_have_text("New")
    expect(page.locator("#live-state")).to_have_text("Live")
    mark(page)
    link = page.get_by_role("link", name="Shop")
    link.focus()

    service.beat(shop)
    expect(row.locator(".status")).to_have_text("Up", timeout=LIVE)
    service.beat(shop, "/fail")
    expect(row.locator(".status")).to_have_text("Down", timeout=LIVE)
    expect(page).to_have_title("(1 down) Applications · Heartbeat Central")
    watch(service, "A new one")
    expect(page.get_by_role("link", name="A new one")).to_be_visible(timeout=LIVE)
    expect(page.get_by_role("link", name=re.compile("All 2"))).to_be_visible()
    # Whoever is on their way through the page by keyboard stays where they were.
    expect(link).to_be_focused()
    assert is_marked(page)


def test_an_application_page_follows_its_history(page: Page, service: Service) -> None:
    made = watch(service, grace_period=3600)
    page.goto(f"/applications/{made['id']}")
    expect(page.get_by_text("No heartbeat yet")).to_be_visible()
    mark(page)
    service.beat(made, "/start")
    expect(page.locator("#summary h1 .status")).to_have_text("Running", timeout=LIVE)
    service.request("POST", f"/heartbeat/{made['uuid']}", b"line\n" * 30)
    expect(page.locator("#history .signal").first).to_have_text("Success", timeout=LIVE)
    expect(page).to_have_title("Up: Nightly backup · Heartbeat Central")
    page.locator("#history summary").click()
    expect(page.locator("#history pre")).to_be_visible()
    service.beat(made, "/3")
    expect(page.locator("#history .signal").first).to_have_text("Failure (3)", timeout=LIVE)
    # What was opened stays open.
    expect(page.locator("#history pre")).to_be_visible()
    assert is_marked(page)


def test_a_channel_page_follows_its_deliveries(page: Page, service: Service) -> None:
    with HttpReceiver() as hook:
        channel = service.api(
            "POST",
            "/channels",
            {"name": "Hook", "type": "webhook", "config": {"url": hook.url}},
        )
        made = watch(service, channels=[channel["id"]])
        page.goto(f"/channels/{channel['id']}")
        expect(page.get_by_text("Nothing was sent yet")).to_be_visible()
        mark(page)
        service.beat(made, "/fail")
        row = page.locator("#channel tbody tr")
        expect(row).to_contain_text("Delivered", timeout=LIVE)
        expect(row).to_contain_text("Down: Nightly backup")
        assert is_marked(page)


def test_searching_needs_no_button(page: Page, service: Service) -> None:
    watch(service, "Shop", tags=["web"])
    watch(service, "Mail")
    page.goto("/")
    expect(page.get_by_role("button", name="Search")).to_be_hidden()
    mark(page)
    page.get_by_label("Search applications").press_sequentially("sho")
    expect(page.get_by_role("link", name="Mail")).to_be_hidden()
    expect(page.get_by_role("link", name="Shop")).to_be_visible()
    # The address can be sent to somebody, and the filter outlives the next live update.
    expect(page).to_have_url(re.compile(r"/\?search=sho$"))
    late = watch(service, "Another shop")
    expect(page.get_by_role("link", name="Another shop")).to_be_visible(timeout=LIVE)
    expect(page.get_by_role("link", name="Mail")).to_be_hidden()
    page.get_by_label("Search applications").fill("")
    expect(page.get_by_role("link", name="Mail")).to_be_visible()
    assert is_marked(page)
    assert late["name"] == "Another shop"


def test_copies_the_url_and_the_snippets(window: Window, service: Service) -> None:
    made = watch(service)
    with window.open(permissions=["clipboard-read", "clipboard-write"]) as page:
        page.goto(f"/applications/{made['id']}")
        button = page.locator("[data-copy='#heartbeat-url']")
        button.click()
        expect(button).to_have_text("Copied")
        assert page.evaluate("navigator.clipboard.readText()") == made["heartbeat_url"]
        for name in ("curl", "cron", "Python", "Docker", "systemd"):
            page.get_by_role("tab", name=name).click()
            panel = page.get_by_role("tabpanel", name=name)
            panel.get_by_role("button").click()
            expect(panel.get_by_role("button")).to_have_text("Copied")
            assert (
                page.evaluate("navigator.clipboard.readText()")
                == panel.locator("code").inner_text()
            )


def test_copies_where_the_browser_hands_out_no_clipboard(window: Window, service: Service) -> None:
    """Most installations at home are plain HTTP, where there is no navigator.clipboard."""
    made = watch(service)
    with window.open(permissions=["clipboard-read", "clipboard-write"]) as page:
        page.add_init_script("Object.defineProperty(window, 'isSecureContext', {value: false})")
        page.goto(f"/applications/{made['id']}")
        button = page.locator("[data-copy='#heartbeat-url']")
        button.click()
        expect(button).to_have_text("Copied")
        assert page.evaluate("navigator.clipboard.readText()") == made["heartbeat_url"]
        expect(button).to_be_focused()


def test_all_by_keyboard_alone(window: Window, service: Service) -> None:
    with window.open(signed_in=False) as page:
        page.goto("/sign-in")
        page.keyboard.type(EMAIL)
        page.keyboard.press("Tab")
        page.keyboard.type(PASSWORD)
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="Applications")).to_be_visible()

        # The first thing that Tab finds leads past the header.
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.locator("main")).to_be_focused()

        tab_to(page, page.get_by_role("link", name="Register application"))
        page.keyboard.press("Enter")
        expect(page.get_by_label("Name", exact=True)).to_be_focused()
        page.keyboard.type("By keyboard")
        tab_to(page, page.get_by_label("At an interval"))
        page.keyboard.press("ArrowRight")
        expect(page.get_by_label("Cron", exact=True)).to_be_checked()
        tab_to(page, page.get_by_label("Expression"), most=1)
        page.keyboard.type("30 2 * * *")
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="By keyboard")).to_be_visible()

        tab_to(page, page.get_by_role("tab", name="curl"))
        page.keyboard.press("ArrowRight")
        expect(page.get_by_role("tab", name="cron")).to_be_focused()
        expect(page.locator("#snippet-cron")).to_be_visible()
        expect(page.locator("#snippet-curl")).to_be_hidden()

        page.reload()
        pause = page.get_by_role("button", name="Pause")
        tab_to(page, pause)
        page.keyboard.press("Enter")
        expect(page.locator("#summary h1 .status")).to_have_text("Paused")

        delete = page.get_by_role("link", name="Delete")
        tab_to(page, delete)
        page.keyboard.press("Enter")
        dialog = page.get_by_role("dialog")
        expect(dialog).to_contain_text("Delete By keyboard?")
        page.keyboard.press("Escape")
        expect(dialog).to_be_hidden()
        expect(delete).to_be_focused()
        page.keyboard.press("Enter")
        expect(dialog).to_be_visible()
        # However often Tab is pressed, nothing behind the dialog gets the focus (the browser's own
        # parts may, and then the page as a whole has it).
        confirm = dialog.get_by_role("button", name="Delete application")
        for _ in range(6):
            page.keyboard.press("Tab")
            assert page.evaluate("document.activeElement.matches('body, .modal, .modal *')")
        tab_to(page, confirm, most=4)
        page.keyboard.press("Enter")
        expect(page.get_by_text("By keyboard is deleted.")).to_be_visible()

        tab_to(page, page.get_by_role("button", name="Colours"))
        page.keyboard.press("Enter")
        page.keyboard.press("ArrowDown")
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")
        expect(page.locator("html")).to_have_attribute("data-bs-theme", "dark")
        tab_to(page, page.get_by_role("button", name="Sign out"), most=3)
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_the_form_shows_the_fields_of_the_chosen_schedule(page: Page) -> None:
    page.goto("/applications/new")
    interval, expression = page.get_by_label("At least every"), page.get_by_label("Expression")
    expect(interval).to_be_visible()
    expect(expression).to_be_hidden()
    page.get_by_label("OnCalendar").check()
    expect(interval).to_be_hidden()
    expect(expression).to_be_visible()
    page.get_by_label("At an interval").check()
    expect(interval).to_be_visible()


def test_a_secret_can_be_looked_at_while_it_is_typed(page: Page) -> None:
    page.goto("/channels/new/webhook")
    secret = page.get_by_label("Signing secret", exact=False).first
    secret.fill("my own secret")
    expect(secret).to_have_attribute("type", "password")
    page.get_by_role("button", name="Show Signing secret").click()
    expect(secret).to_have_attribute("type", "text")


def test_a_phone_gets_all_of_it(window: Window, service: Service) -> None:
    made = watch(service)
    service.request("POST", f"/heartbeat/{made['uuid']}", b"done")
    with window.open(viewport=PHONE, has_touch=True) as page:
        page.goto("/")
        expect(page.get_by_text(re.compile(r"Last (now|\d+ s ago) · next in"))).to_be_visible()
        page.get_by_role("link", name="Nightly backup").tap()
        expect(page.get_by_role("cell", name="done")).to_be_visible()
        page.get_by_role("link", name="Channels").tap()
        page.get_by_role("link", name="Add channel").tap()
        page.get_by_role("link", name=re.compile("Discord")).tap()
        expect(page.get_by_role("heading", name="Add channel: Discord")).to_be_visible()
        expect(page.get_by_role("button", name="Sign out")).to_be_visible()


def test_without_scripts_nothing_is_missing(window: Window, service: Service) -> None:
    made = watch(service)
    with window.open(java_script_enabled=False) as page:
        page.goto("/")
        page.get_by_label("Search applications").fill("nightly")
        page.get_by_role("button", name="Search").click()
        page.get_by_role("link", name="Nightly backup").click()
        for name in ("curl", "cron", "python", "docker", "systemd"):
            expect(page.locator(f"#snippet-{name}")).to_be_visible()
        expect(page.get_by_role("button", name="Copy")).to_have_count(0)
        page.get_by_role("link", name="Edit").click()
        for field in ("At least every", "Expression", "Time zone"):
            expect(page.get_by_label(field)).to_be_visible()
        page.goto(f"/applications/{made['id']}")
        page.get_by_role("link", name="Delete").click()
        page.get_by_role("button", name="Delete application").click()
        expect(page.get_by_text("Nightly backup is deleted.")).to_be_visible()


def test_times_are_the_viewers_own(window: Window, service: Service) -> None:
    made = watch(service)
    service.beat(made)
    stored = service.api("GET", f"/applications/{made['id']}/heartbeats")[0]["received_at"]
    with window.open(timezone_id="Asia/Kathmandu") as page:
        page.goto(f"/applications/{made['id']}")
        shown = page.locator("#history time.at").first
        minute = (int(stored[14:16]) + 45) % 60
        expect(shown).to_have_text(re.compile(rf":{minute:02}:"))
        expect(shown).to_have_attribute("title", re.compile(re.escape(stored[:10]) + ".* UTC"))

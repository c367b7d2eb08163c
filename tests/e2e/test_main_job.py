"""The main job in a real browser: set up, register, see it go up, down and up again."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.support.receivers.http import HttpReceiver
from tests.support.receivers.smtp import SmtpReceiver
from tests.support.service import OwnInterpreter, Service, wait_until

if TYPE_CHECKING:
    from playwright.sync_api import Page


@pytest.fixture
def mailbox() -> Iterator[SmtpReceiver]:
    with SmtpReceiver() as receiver:
        yield receiver


@pytest.fixture
def hook() -> Iterator[HttpReceiver]:
    with HttpReceiver() as receiver:
        yield receiver


@pytest.fixture
def service(tmp_path: Path, mailbox: SmtpReceiver) -> Iterator[Service]:
    mail = {
        "SMTP_SERVER": "127.0.0.1",
        "SMTP_PORT": str(mailbox.port),
        "SMTP_FROM": "heartbeat@example.com",
    }
    with OwnInterpreter(tmp_path / "service", **mail) as running:
        yield running


def set_up(page: "Page", service: Service) -> None:
    """Make the first account with the link that the service has printed."""
    link = re.search(r"http://[^\s\"]+/setup\?token=[\w-]+", service.log())
    assert link is not None, service.log()
    page.goto(link[0])
    page.get_by_label("E-mail address").fill("ada@example.com")
    page.get_by_label("Password", exact=True).fill("correct horse battery")
    page.get_by_role("button", name="Create account").click()
    expect(page.get_by_role("link", name=re.compile("Register")).first).to_be_visible()


def add_channel(
    page: "Page", service: Service, plugin: str, name: str, label: str, to: str
) -> None:
    page.goto(f"{service.url}/channels/new/{plugin}")
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_label(label, exact=True).fill(to)
    page.get_by_role("button", name="Add channel").click()
    expect(page.get_by_role("heading", name=name)).to_be_visible()


def register(page: "Page", service: Service) -> str:
    """Register an application and return the heartbeat URL that its page shows."""
    page.goto(f"{service.url}/applications/new")
    page.get_by_label("Name", exact=True).fill("Nightly backup")
    page.get_by_label("At least every").fill("2")
    page.get_by_label("Unit of the interval").select_option("seconds")
    page.get_by_label("Grace period", exact=True).fill("1")
    page.get_by_label("Unit of the grace period").select_option("seconds")
    # It shall not lapse before the test has looked at it.
    page.get_by_label("Expect the first heartbeat too").uncheck()
    page.get_by_role("button", name="Register application").click()
    expect(page.get_by_role("heading", name="Nightly backup")).to_be_visible()
    return page.get_by_label("Heartbeat URL").input_value()


def curl(url: str) -> dict[str, str]:
    done = subprocess.run(
        ["curl", "-fsS", "-X", "POST", url], capture_output=True, timeout=20, check=True
    )
    answer: dict[str, str] = json.loads(done.stdout)
    return answer


def test_the_main_job(
    page: "Page", service: Service, hook: HttpReceiver, mailbox: SmtpReceiver
) -> None:
    set_up(page, service)
    add_channel(page, service, "webhook", "Ops hook", "URL", hook.url + "/alerts")
    add_channel(page, service, "email", "Ops mail", "To", "ops@example.com")
    url = register(page, service)
    status = page.locator("#summary .status").first
    expect(status).to_have_text("New")

    # From here on nothing is reloaded: the page follows what happens by itself.
    assert curl(url)["status"] == "ok"
    expect(status).to_have_text(re.compile("Up|Late"), timeout=10_000)
    expect(status).to_have_text("Down", timeout=15_000)
    wait_until(lambda: hook.requests, "the down webhook")
    wait_until(lambda: mailbox.mails, "the down mail")
    down = json.loads(hook.requests[0].body)
    assert (down["event"], down["application"]["name"]) == ("down", "Nightly backup")
    assert "Nightly backup" in str(mailbox.mails[0].message["Subject"])

    curl(url)
    expect(status).to_have_text(re.compile("Up|Late"), timeout=10_000)
    wait_until(lambda: len(hook.requests) > 1, "the up webhook")
    wait_until(lambda: len(mailbox.mails) > 1, "the up mail")
    assert json.loads(hook.requests[1].body)["event"] == "up"
    assert mailbox.mails[1].message["Message-ID"] != mailbox.mails[0].message["Message-ID"]

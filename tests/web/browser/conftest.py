"""The whole service in a process of its own, and a real browser in front of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.service import Service
from tests.support.visitor import Visitor

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

EMAIL, PASSWORD = "ada@example.com", "correct horse battery"
WIDE, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
NO_COMPLAINTS = (
    "Failed to load resource",
    # The next letter that is typed takes the place of a request under way. What fails is told as
    # htmx:sendError or htmx:responseError.
    "htmx:afterRequest",
    "htmx:sendAbort",
)
"""How lines begin that a console may show as errors."""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("service")
    with Service(folder, ADMIN_EMAIL=EMAIL, ADMIN_PASSWORD=PASSWORD) as running:
        yield running


@pytest.fixture(scope="module")
def cookies(service: Service) -> list[dict[str, str]]:
    """A signed-in person's, for a browser."""
    visitor = Visitor(service.port)
    visitor.submit(visitor.get("/sign-in"), "Sign in", {"email": EMAIL, "password": PASSWORD})
    return [{"name": n, "value": v, "url": service.url} for n, v in visitor.cookies.items()]


class Window:
    """Opens pages in browser contexts of their own, and fails when a page complains."""

    def __init__(self, browser: "Browser", service: Service, cookies: Any) -> None:
        self._browser = browser
        self._service = service
        self._cookies = cookies

    @contextmanager
    def open(self, *, signed_in: bool = True, **options: Any) -> Iterator["Page"]:
        context = self._browser.new_context(
            **{
                "locale": "en-GB",
                "timezone_id": "UTC",
                "viewport": WIDE,
                "base_url": self._service.url,
                **options,
            }
        )
        complaints: list[str] = []
        try:
            if signed_in:
                context.add_cookies(self._cookies)
            page = context.new_page()
            page.on("pageerror", lambda error: complaints.append(str(error)))
            page.on(
                "console",
                lambda message: (
                    complaints.append(message.text)
                    if message.type == "error" and not message.text.startswith(NO_COMPLAINTS)
                    else None
                ),
            )
            yield page
            # Before it closes: what is under way then fails, and says so.
            assert complaints == []
        finally:
            context.close()


@pytest.fixture(scope="module")
def window(chromium: "Browser", service: Service, cookies: Any) -> Window:
    return Window(chromium, service, cookies)


@pytest.fixture
def page(window: Window) -> Iterator["Page"]:
    """A signed-in person's page on a wide screen."""
    with window.open() as opened:
        yield opened

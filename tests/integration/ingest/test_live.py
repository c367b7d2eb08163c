"""Live updates: pages hear of a change, and nobody else does."""

import asyncio
from collections.abc import Hashable
from typing import Any

import pytest

from heartbeat_central.domain.errors import StorageUnavailable
from heartbeat_central.ingest import live as updates
from heartbeat_central.ingest.live import LiveUpdates

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(updates, "PERIOD", 0.01)
    monkeypatch.setattr(updates, "LONGEST_SILENCE", 1_000_000)


class Page:
    """An open page: what it was sent, until it goes."""

    def __init__(self, live: LiveUpdates, cookie: str | None) -> None:
        headers = [] if cookie is None else [(b"cookie", cookie.encode())]
        self.status = 0
        self.received = asyncio.Queue[bytes]()
        self._gone = asyncio.Event()
        self.task = asyncio.create_task(live({"headers": headers}, self._receive, self._send))

    async def next(self) -> bytes:
        return await asyncio.wait_for(self.received.get(), 10)

    def leave(self) -> None:
        self._gone.set()

    async def _receive(self) -> dict[str, Any]:
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        else:
            self.received.put_nowait(message["body"])


class Project:
    """What the pages of project 7 show."""

    def __init__(self) -> None:
        self.shown = 0
        self.looks = 0
        self.away = False

    def fingerprint(self, project_id: int) -> Hashable:
        assert project_id == 7
        self.looks += 1
        if self.away:
            raise StorageUnavailable("away")
        return self.shown


def serving(project: Project) -> LiveUpdates:
    return LiveUpdates(
        cookie_name="session",
        project_of=lambda token: 7 if token == "good" else None,
        fingerprint=project.fingerprint,
    )


async def looked(project: Project) -> None:
    before = project.looks
    while project.looks < before + 3:
        await asyncio.sleep(0.005)


async def test_every_open_page_hears_of_a_change() -> None:
    project = Project()
    live = serving(project)
    pages = [Page(live, "theme=dark; session=good") for _ in range(3)]
    for page in pages:
        assert await page.next() == b"retry: 2000\n\n"
    await looked(project)
    project.shown = 1
    for page in pages:
        assert (await page.next()).startswith(b"event: changed")
        page.leave()
        await page.task


async def test_a_change_is_told_again_once_it_is_sure_to_be_seen() -> None:
    # On PostgreSQL a heartbeat has its id a moment before it is committed.
    project = Project()
    page = Page(serving(project), "session=good")
    await page.next()
    await looked(project)
    project.shown = 1
    for _ in range(2):
        assert (await page.next()).startswith(b"event: changed")
    await looked(project)
    assert page.received.empty()
    page.leave()
    await page.task


async def test_a_change_is_told_that_comes_right_after_the_stream_began() -> None:
    project = Project()
    page = Page(serving(project), "session=good")
    await page.next()
    project.shown = 1
    assert (await page.next()).startswith(b"event: changed")
    page.leave()
    await page.task


async def test_a_page_that_waits_for_the_first_look_is_let_go_at_the_end() -> None:
    project = Project()
    live = serving(project)
    page = Page(live, "session=good")
    while not live._watchers:
        await asyncio.sleep(0)
    live.close()
    await asyncio.wait_for(page.task, 10)


@pytest.mark.parametrize("cookie", [None, "session=bad", "other=good", "=;;\x00"])
async def test_strangers_are_refused(cookie: str | None) -> None:
    project = Project()
    page = Page(serving(project), cookie)
    await page.task
    assert page.status == 401
    assert project.looks == 0


async def test_nobody_looks_while_no_page_is_open() -> None:
    project = Project()
    page = Page(serving(project), "session=good")
    await looked(project)
    page.leave()
    await page.task
    seen = project.looks
    await asyncio.sleep(0.05)
    assert project.looks <= seen + 1


async def test_an_absent_database_ends_no_stream() -> None:
    project = Project()
    page = Page(serving(project), "session=good")
    await page.next()
    await looked(project)
    project.away = True
    await looked(project)
    project.away, project.shown = False, 1
    assert (await page.next()).startswith(b"event: changed")
    page.leave()
    await page.task


async def test_closing_ends_every_stream() -> None:
    project = Project()
    live = serving(project)
    page = Page(live, "session=good")
    await page.next()
    live.close()
    await asyncio.wait_for(page.task, 10)
    assert await page.next() == b""

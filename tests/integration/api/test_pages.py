"""Lists come page by page, and nothing is told twice or left out."""

from datetime import timedelta
from uuid import UUID

import pytest

from heartbeat_central.domain.signal import Signal, SignalKind
from heartbeat_central.services.record_signals import record_signals
from tests.integration.api.conftest import PUBLIC, Api, Receiver, clock


def walk(api: Api, path: str, *, most: int = 20) -> list[list[int]]:
    pages: list[list[int]] = []
    following: str | None = path
    while following is not None:
        answer = api.get(following)
        assert answer.status == 200
        pages.append([one["id"] for one in answer.json])
        following = answer.next
        assert len(pages) <= most
    return pages


def test_applications(api: Api) -> None:
    ids = [api.application(f"No {number}")["id"] for number in range(5)]
    assert walk(api, "/api/applications?limit=2") == [
        [ids[4], ids[3]],
        [ids[2], ids[1]],
        [ids[0]],
    ]
    assert walk(api, "/api/applications?limit=5") == [ids[::-1]]
    assert walk(api, "/api/applications") == [ids[::-1]]


def test_the_next_page_has_the_public_address(api: Api) -> None:
    # Not the one of the request: behind a proxy that ends TLS it would send the key in the clear.
    for _ in range(2):
        api.application()
    link = api.get("/api/applications?limit=1").headers["link"]
    assert link.startswith(f"<{PUBLIC}/api/applications?limit=1&cursor=")


def test_a_filter_stays_on_the_next_pages(api: Api) -> None:
    ids = [
        api.application(f"No {number}", tags=["even"] * (number % 2 == 0))["id"]
        for number in range(6)
    ]
    pages = walk(api, "/api/applications?tag=even&limit=2&search=No%20")
    assert pages == [[ids[4], ids[2]], [ids[0]]]


def test_channels(api: Api) -> None:
    ids = [api.channel()["id"] for _ in range(3)]
    assert walk(api, "/api/channels?limit=2") == [[ids[2], ids[1]], [ids[0]]]


def test_heartbeats_that_arrived_at_the_same_moment(api: Api) -> None:
    application = api.application()
    now = clock()
    signals = [
        Signal(
            uuid=UUID(application["uuid"]),
            kind=SignalKind.SUCCESS,
            received_at=now + timedelta(microseconds=number // 3),
        )
        for number in range(7)
    ]
    record_signals(api.world.database, signals, now=now, base_url=PUBLIC)
    pages = walk(api, f"/api/applications/{application['id']}/heartbeats?limit=2")
    assert [len(page) for page in pages] == [2, 2, 2, 1]
    ids = [one for page in pages for one in page]
    assert ids == sorted(ids, reverse=True)
    assert len(set(ids)) == 7


@pytest.mark.parametrize("path", ["/api/incidents", "/api/applications/{id}/incidents"])
def test_incidents(api: Api, path: str) -> None:
    application = api.application()
    for kind in [SignalKind.FAIL, SignalKind.SUCCESS] * 3:
        now = clock()
        signal = Signal(uuid=UUID(application["uuid"]), kind=kind, received_at=now)
        record_signals(api.world.database, [signal], now=now, base_url=PUBLIC)
    pages = walk(api, path.format(id=application["id"]) + "?limit=2")
    assert [len(page) for page in pages] == [2, 1]
    ids = [one for page in pages for one in page]
    assert ids == sorted(ids, reverse=True)


def test_deliveries(api: Api, receiver: Receiver) -> None:
    channel = api.channel(receiver.url)
    for _ in range(3):
        api.post(f"/api/channels/{channel['id']}/test")
    pages = walk(api, f"/api/channels/{channel['id']}/deliveries?limit=2")
    assert [len(page) for page in pages] == [2, 1]

"""A channel as it is shown."""

from datetime import UTC, datetime

from heartbeat_central.domain.channel import ChannelView

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def test_is_shown_as_plain_json() -> None:
    channel = ChannelView(
        id=3,
        name="Ops",
        type="webhook",
        config={"url": "https://example.com/hook", "secret": "********"},
        is_active=True,
        last_delivery=NOON,
        last_error=None,
        created_at=NOON,
        updated_at=NOON,
    )
    assert channel.as_json() == {
        "id": 3,
        "name": "Ops",
        "type": "webhook",
        "config": {"url": "https://example.com/hook", "secret": "********"},
        "is_active": True,
        "last_delivery": "2026-11-23T12:00:00.000000+00:00",
        "last_error": None,
        "created_at": "2026-11-23T12:00:00.000000+00:00",
        "updated_at": "2026-11-23T12:00:00.000000+00:00",
    }

"""Tries a dead letter again, because a person asks: the receiver may be mended by now."""

from datetime import datetime

from heartbeat_central.domain.errors import Conflict
from heartbeat_central.storage import channels, dead_letters, outbox
from heartbeat_central.storage.engine import Database
from heartbeat_central.storage.outbox import Delivery, DeliveryStatus


def retry_delivery(
    database: Database, project_id: int, channel_id: int, delivery_id: int, *, now: datetime
) -> Delivery:
    """Let a dead delivery be sent again at once, for another 24 hours if need be, and return it.

    What events have overtaken is cancelled instead, as with any other delivery. Raises NotFound, and
    Conflict when the delivery is not dead or its channel is switched off.
    """
    with database.write() as connection:
        channel = channels.find(connection, project_id, channel_id)
        delivery = outbox.find(connection, project_id, channel_id, delivery_id, lock=True)
        if delivery.status is not DeliveryStatus.DEAD:
            raise Conflict(
                f"this delivery is {delivery.status.value}; only one that was given up can be retried"
            )
        if not channel.is_active:
            raise Conflict("this channel is switched off; switch it on, then try again")
        dead_letters.revive(connection, delivery_id, now=now)
        return outbox.find(connection, project_id, channel_id, delivery_id)

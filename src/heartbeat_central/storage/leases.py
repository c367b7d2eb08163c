"""Deliveries on their way: claimed under a lease, and marked with what came of them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import KW_ONLY, asdict, dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import Connection, Row, and_, func, literal, select, update

from heartbeat_central.domain.alert import Alert
from heartbeat_central.domain.overtaken import Situation
from heartbeat_central.domain.state import Status
from heartbeat_central.domain.text import storable
from heartbeat_central.storage import careful
from heartbeat_central.storage.among import among
from heartbeat_central.storage.outbox import DeliveryStatus
from heartbeat_central.storage.rows import insert_rows, update_rows
from heartbeat_central.storage.tables import (
    alerts,
    application_states,
    channels,
    deliveries,
    delivery_attempts,
    incidents,
)

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """A delivery under lease, with all that sending it needs."""

    id: int
    uuid: UUID
    attempt: int
    """The fencing token: a mark with an older one is ignored."""
    alert: Alert
    channel_id: int
    channel_type: str
    sealed_config: str
    situation: Situation
    """How things were when it was claimed."""
    first_attempt_at: datetime


@dataclass(frozen=True, slots=True)
class Due:
    """A delivery that may be claimed."""

    id: int
    channel_id: int
    application_id: int | None


@dataclass(frozen=True, slots=True)
class Mark:
    """Where a claimed delivery is to stand."""

    claimed: Claimed
    status: DeliveryStatus
    _: KW_ONLY
    at: datetime
    due_at: datetime | None = None
    error: str | None = None
    fallback_due: bool = False
    """Whether other channels are to tell of it: a dead letter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One attempt, as it is stored."""

    delivery_id: int
    attempt: int
    started_at: datetime
    finished_at: datetime
    outcome: str
    """`ok` or `failed`."""
    detail: str


def due(
    connection: Connection,
    *,
    now: datetime,
    most: int,
    per_channel: int,
    full_channels: Collection[int] = (),
) -> list[Due]:
    """Return up to `most` due deliveries, oldest first.

    At most `per_channel` of one channel, so that its backlog hides nobody else's; none of
    `full_channels`. An alert of an application waits for an earlier one to the same channel that is
    due or under way: `up` must not overtake `down`.
    """
    # Found first and ranked then: SQLite would rather read every delivery there ever was, in the
    # order of the channels, to be spared the sorting.
    waiting = (
        select(deliveries.c.id, deliveries.c.channel_id, deliveries.c.application_id)
        .where(
            deliveries.c.status == DeliveryStatus.PENDING.value,
            deliveries.c.due_at <= now,
            deliveries.c.channel_id.not_in(full_channels),
        )
        .cte("waiting")
        .prefix_with("MATERIALIZED")
    )
    ranked = select(
        waiting,
        func.row_number()
        .over(partition_by=waiting.c.channel_id, order_by=waiting.c.id)
        .label("place"),
    ).subquery()
    rows = connection.execute(
        select(ranked.c.id, ranked.c.channel_id, ranked.c.application_id)
        .where(ranked.c.place <= per_channel)
        .order_by(ranked.c.id)
        .limit(most)
    )
    first = _under_way(connection, now)
    found = []
    for row in rows:
        about = (row.channel_id, row.application_id)
        if row.application_id is None or first.setdefault(about, row.id) >= row.id:
            found.append(Due(row.id, row.channel_id, row.application_id))
    return found


def _under_way(connection: Connection, now: datetime) -> dict[tuple[int, int], int]:
    """Return the first delivery that some node is sending now, by channel and application.

    Not a condition of the query above: as a join it was a matter of luck with the planner's
    statistics, which know nothing of an outage that began a second ago.
    """
    first: dict[tuple[int, int], int] = {}
    for row in connection.execute(
        select(deliveries.c.id, deliveries.c.channel_id, deliveries.c.application_id).where(
            deliveries.c.status == DeliveryStatus.PENDING.value,
            deliveries.c.leased_until > now,
            deliveries.c.application_id.is_not(None),
        )
    ):
        about = (row.channel_id, row.application_id)
        first[about] = min(first.get(about, row.id), row.id)
    return first


def lease(
    connection: Connection, ids: Sequence[int], *, now: datetime, until: datetime
) -> list[Claimed]:
    """Lease those of these deliveries that no other node has taken meanwhile, and return them."""
    if not ids:
        return []
    free = (
        select(deliveries.c.id)
        .where(
            among(connection, deliveries.c.id, ids),
            deliveries.c.status == DeliveryStatus.PENDING.value,
            deliveries.c.due_at <= now,
        )
        .order_by(deliveries.c.id)
        .with_for_update(skip_locked=True)
    )
    mine = connection.execute(
        update(deliveries)
        .where(deliveries.c.id.in_(free))
        .values(
            attempt=deliveries.c.attempt + 1,
            due_at=until,
            leased_until=until,
            first_attempt_at=func.coalesce(
                deliveries.c.first_attempt_at, literal(now, deliveries.c.first_attempt_at.type)
            ),
        )
        .returning(deliveries.c.id)
    ).scalars()
    query = _WITH_ALL.where(among(connection, deliveries.c.id, mine))
    rows = careful.rows(connection, query, deliveries.c.id)
    claimed = []
    for row in rows:
        try:
            claimed.append(_claimed(row, now))
        except Exception as error:
            # Left as it is, it would be claimed first and fail the others' claim for ever.
            _bury(connection, row.id, careful.damage(row) or careful.reason(error), now)
    return claimed


def _bury(connection: Connection, delivery_id: int, problem: str, now: datetime) -> None:
    log.error("alert_unreadable", delivery=delivery_id, problem=problem)
    connection.execute(
        update(deliveries)
        .where(deliveries.c.id == delivery_id)
        .values(
            status=DeliveryStatus.DEAD.value,
            due_at=None,
            leased_until=None,
            finished_at=now,
            last_error=f"the stored alert can't be read ({problem})",
        )
    )


_current = incidents.alias("current")
"""The open incident of the application, whichever the alert is about."""

_WITH_ALL = (
    select(
        deliveries,
        alerts.c.snapshot,
        channels.c.type.label("channel_type"),
        channels.c.is_active.label("channel_is_active"),
        channels.c.config.label("sealed_config"),
        application_states.c.status.label("application_status"),
        and_(incidents.c.id.is_not(None), incidents.c.closed_at.is_(None)).label("incident_open"),
        _current.c.opened_at.label("down_since"),
    )
    .join_from(deliveries, alerts, alerts.c.id == deliveries.c.alert_id)
    .join(channels, channels.c.id == deliveries.c.channel_id)
    .outerjoin(
        application_states, application_states.c.application_id == deliveries.c.application_id
    )
    .outerjoin(incidents, incidents.c.id == alerts.c.incident_id)
    .outerjoin(
        _current,
        and_(
            _current.c.application_id == deliveries.c.application_id, _current.c.closed_at.is_(None)
        ),
    )
    .order_by(deliveries.c.id)
)


def earliest_due(connection: Connection, *, full_channels: Collection[int] = ()) -> datetime | None:
    """Return when the next pending delivery of other channels than these is due; None: none waits."""
    return connection.execute(
        select(deliveries.c.due_at)
        .where(
            deliveries.c.status == DeliveryStatus.PENDING.value,
            deliveries.c.due_at.is_not(None),
            deliveries.c.channel_id.not_in(full_channels),
        )
        .order_by(deliveries.c.due_at)
        .limit(1)
    ).scalar()


def mark_many(connection: Connection, marks: Sequence[Mark]) -> set[int]:
    """Record where claimed deliveries stand; return the ids of those whose lease was still theirs.

    The others are under a newer lease of another node, whose outcome is the one that counts. What can't
    be stored of an error is replaced: who said it may say anything, and without it all is sent again.
    """
    if not marks:
        return set()
    attempts = _pending_attempts(connection, [mark.claimed.id for mark in marks])
    held = [mark for mark in marks if attempts.get(mark.claimed.id) == mark.claimed.attempt]
    update_rows(
        connection,
        deliveries,
        "id",
        [
            {
                "id": mark.claimed.id,
                "status": mark.status.value,
                "due_at": mark.due_at,
                "leased_until": None,
                "finished_at": None if mark.status is DeliveryStatus.PENDING else mark.at,
                "last_error": None if mark.error is None else storable(mark.error),
                "fallback_due": mark.fallback_due or None,
            }
            for mark in held
        ],
    )
    return {mark.claimed.id for mark in held}


def _pending_attempts(connection: Connection, ids: Sequence[int]) -> Mapping[int, int]:
    rows = connection.execute(
        select(deliveries.c.id, deliveries.c.attempt)
        .where(
            among(connection, deliveries.c.id, ids),
            deliveries.c.status == DeliveryStatus.PENDING.value,
        )
        .order_by(deliveries.c.id)
        .with_for_update()
    )
    return {row.id: row.attempt for row in rows}


def add_attempts(connection: Connection, attempts: Sequence[Attempt]) -> None:
    """Store what came of attempts."""
    insert_rows(
        connection,
        delivery_attempts,
        [{**asdict(one), "detail": storable(one.detail)} for one in attempts],
    )


def extend(connection: Connection, claimed: Sequence[Claimed], *, until: datetime) -> None:
    """Move the end of these leases, where they are still held."""
    attempts = _pending_attempts(connection, [one.id for one in claimed])
    held = [one.id for one in claimed if attempts.get(one.id) == one.attempt]
    connection.execute(
        update(deliveries)
        .where(among(connection, deliveries.c.id, held))
        .values(due_at=until, leased_until=until)
    )


def release_all(connection: Connection, *, now: datetime) -> int:
    """End every lease, so that what was leased is due at once; return how many there were."""
    return connection.execute(
        update(deliveries)
        .where(
            deliveries.c.status == DeliveryStatus.PENDING.value,
            deliveries.c.leased_until.is_not(None),
        )
        .values(due_at=now, leased_until=None)
    ).rowcount


def release(connection: Connection, claimed: Claimed, *, now: datetime) -> None:
    """Give a claimed delivery back unsent, due at once; only the number of the attempt is used up."""
    connection.execute(
        update(deliveries)
        .where(
            deliveries.c.id == claimed.id,
            deliveries.c.attempt == claimed.attempt,
            deliveries.c.status == DeliveryStatus.PENDING.value,
        )
        .values(due_at=now, leased_until=None)
    )


def set_back(connection: Connection, *, now: datetime, by: timedelta) -> None:
    """Move what waits for a time that is still to come as far back as the clock was set."""
    waiting = connection.execute(
        select(deliveries.c.id, deliveries.c.due_at, deliveries.c.leased_until)
        .where(deliveries.c.status == DeliveryStatus.PENDING.value, deliveries.c.due_at > now)
        .order_by(deliveries.c.id)
        .with_for_update()
    ).all()
    for row in waiting:
        leased_until = None if row.leased_until is None else max(row.leased_until - by, now)
        connection.execute(
            update(deliveries)
            .where(deliveries.c.id == row.id)
            .values(due_at=max(row.due_at - by, now), leased_until=leased_until)
        )


def _claimed(row: Row[Any], now: datetime) -> Claimed:
    return Claimed(
        id=row.id,
        uuid=row.uuid,
        attempt=row.attempt,
        alert=Alert.from_json(row.snapshot),
        channel_id=row.channel_id,
        channel_type=row.channel_type,
        sealed_config=row.sealed_config,
        situation=Situation(
            channel_is_active=row.channel_is_active,
            application_exists=row.application_id is None or row.application_status is not None,
            application_is_paused=row.application_status == Status.PAUSED.value,
            incident_is_open=bool(row.incident_open),
            down_since=row.down_since,
        ),
        first_attempt_at=row.first_attempt_at or now,
    )

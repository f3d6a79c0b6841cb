"""Finished deliveries, in batches, for sending them again."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select

from gateway.model.delivery import DeliveryState
from gateway.storage.tables import bodies, deliveries

_BATCH = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedFilter:
    """What ended in one state at one destination since a time, with ids above `after`."""

    destination_id: str
    state: DeliveryState
    since: datetime
    after: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """One delivery that ended."""

    delivery_id: int
    store_id: str
    order_id: str | None
    topic: str
    has_body: bool


def finished_deliveries(connection: Connection, wanted: FinishedFilter) -> list[Finished]:
    """Return the next batch of what is wanted, oldest first."""
    statement = (
        select(
            deliveries.c.id,
            deliveries.c.store_id,
            deliveries.c.order_id,
            deliveries.c.topic,
            bodies.c.id.is_not(None).label("has_body"),
        )
        .outerjoin(bodies, bodies.c.id == deliveries.c.body_id)
        .where(
            deliveries.c.destination_id == wanted.destination_id,
            deliveries.c.state == wanted.state.value,
            deliveries.c.finished_at >= wanted.since,
            deliveries.c.id > wanted.after,
        )
        .order_by(deliveries.c.id)
        .limit(_BATCH)
    )
    return [
        Finished(
            delivery_id=row.id,
            store_id=row.store_id,
            order_id=row.order_id,
            topic=row.topic,
            has_body=bool(row.has_body),
        )
        for row in connection.execute(statement)
    ]

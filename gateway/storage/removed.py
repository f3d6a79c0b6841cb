"""Deliveries whose destination the settings no longer name."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import Connection, select

from gateway.model.delivery import DeliveryState
from gateway.storage.tables import deliveries
from gateway.storage.waiting import cancel

_CHUNK = 500


def cancel_removed(connection: Connection, known: Collection[str], *, now: datetime) -> list[int]:
    """Cancel everything open for destinations that are not among `known`; return the ids."""
    ended: list[int] = []
    open_rows = select(deliveries.c.id).where(
        deliveries.c.finished_at.is_(None), deliveries.c.destination_id.not_in(list(known))
    )
    while ids := list(connection.execute(open_rows.limit(_CHUNK)).scalars()):
        done = cancel(
            connection, ids, state=DeliveryState.CANCELLED, reason="destination_removed", drop_bodies=False, now=now
        )
        ended += done
        if len(done) < len(ids):
            break
    return ended

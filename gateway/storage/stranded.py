"""A safety net: streams of which nothing can be claimed although something is open."""

from collections.abc import Collection
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, func, select

from gateway.storage.streams import lock_streams_of, promote
from gateway.storage.tables import deliveries

_LIMIT: Final = 500


def stranded_heads(connection: Connection) -> list[int]:
    """Return the heads of such streams, of which there should be none."""
    stream = (deliveries.c.store_id, deliveries.c.stream, deliveries.c.destination_id)
    heads = (
        select(func.min(deliveries.c.id))
        .where(deliveries.c.finished_at.is_(None))
        .group_by(*stream)
        .having(func.count(deliveries.c.claimable_at) == 0)
        .limit(_LIMIT)
    )
    return list(connection.execute(heads).scalars())


def free_heads(connection: Connection, heads: Collection[int], *, now: datetime) -> None:
    """Make these heads claimable, unless somebody has moved their streams on meanwhile."""
    lock_streams_of(connection, heads)
    promote(connection, heads, now=now)

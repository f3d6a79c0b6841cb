"""A safety net: streams of which nothing can be claimed, and what a worker that is gone should have ended."""

from collections.abc import Collection
from datetime import datetime
from typing import Final

from sqlalchemy import ColumnElement, Connection, Text, cast, func, select

from gateway.storage.outcomes import end_marked
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


def lost_endings(connection: Connection, *, now: datetime) -> list[int]:
    """Return what was to end while it was being sent, under a lease that ran out.

    Whoever claims it ends it; of a destination that is paused or was removed nobody claims anything.
    """
    return list(connection.execute(select(deliveries.c.id).where(*_is_lost(now)).limit(_LIMIT)).scalars())


def end_lost(connection: Connection, delivery_ids: Collection[int], *, now: datetime) -> None:
    """End these deliveries, unless somebody has taken them over meanwhile."""
    lock_streams_of(connection, delivery_ids)
    statement = select(deliveries).where(deliveries.c.id.in_(delivery_ids), *_is_lost(now)).with_for_update()
    end_marked(connection, [dict(row) for row in connection.execute(statement).mappings()], now=now)


def _is_lost(now: datetime) -> tuple[ColumnElement[bool], ...]:
    is_marked = cast(deliveries.c.ending, Text) != "null"  # as JSON writes it; where there never was one, it is unknown
    return (deliveries.c.claimable_at <= now, is_marked)

"""What waits, counted: the cost grows with what is open, never with history."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, func, select

from gateway.storage.tables import deliveries, destinations


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfinished:
    """Open deliveries by destination and state, how old the oldest is, and which destinations are paused."""

    rows: Mapping[tuple[str, str], int] = field(default_factory=dict)
    oldest_seconds: Mapping[str, float] = field(default_factory=dict)
    paused: frozenset[str] = frozenset()


def count_unfinished(connection: Connection, now: datetime) -> Unfinished:
    """Count everything that is not finished."""
    statement = (
        select(
            deliveries.c.destination_id,
            deliveries.c.state,
            func.count().label("rows"),
            func.min(deliveries.c.accepted_at).label("oldest"),
        )
        .where(deliveries.c.finished_at.is_(None))
        .group_by(deliveries.c.destination_id, deliveries.c.state)
    )
    rows: dict[tuple[str, str], int] = {}
    oldest: dict[str, float] = {}
    for row in connection.execute(statement):
        rows[row.destination_id, row.state] = row.rows
        age = (now - row.oldest).total_seconds()
        oldest[row.destination_id] = max(age, oldest.get(row.destination_id, 0.0))
    paused = select(destinations.c.destination_id).where(destinations.c.paused_at.is_not(None))
    return Unfinished(rows=rows, oldest_seconds=oldest, paused=frozenset(connection.execute(paused).scalars()))

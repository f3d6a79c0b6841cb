"""Events as rows: known by their own id for good, beside what was decided against at once."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import Connection, insert, select

from gateway.model.delivery import DeliveryKind, DeliveryState
from gateway.storage.database import Database, announce_ended
from gateway.storage.queue import NewDelivery
from gateway.storage.statements import Row, rows_by
from gateway.storage.tables import deliveries, events
from gateway.storage.waiting import cancel

Key = tuple[str, str]  # store id and event id
_EXPIRED_AT_ONCE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Discarded:
    """A delivery that was decided against at intake, and why; it never had a body."""

    delivery: NewDelivery
    reason: str
    detail: dict[str, Any] = field(default_factory=dict)


def known_events(connection: Connection, keys: Collection[Key]) -> set[Key]:
    """Return which of these events were recorded before."""
    rows = rows_by(connection, events, ("store_id", "event_id"), keys)
    return {(row["store_id"], row["event_id"]) for row in rows}


def add_events(connection: Connection, rows: Sequence[Row]) -> None:
    """Record events; nothing personal stays in them, so they may outlive their bodies."""
    if rows:
        connection.execute(insert(events), list(rows))


def add_discarded(connection: Connection, discarded: Sequence[Discarded], now: datetime) -> None:
    """Keep a row of what was not sent, and why, without the person."""
    rows = [_ended(one, now) for one in discarded]
    if rows:
        connection.execute(insert(deliveries), rows)
        announce_ended(connection, [(row["store_id"], row["destination_id"], row["state"].value) for row in rows])


def expire_events(database: Database) -> int:
    """End events whose time to live ran out, also those behind others and at paused destinations."""
    total = 0
    while ids := database.read(lambda connection: _overdue(connection, database.now())):
        total += len(ids)
        database.write(partial(_expire, ids=ids, now=database.now()))
        if len(ids) < _EXPIRED_AT_ONCE:
            break
    return total


def _overdue(connection: Connection, now: datetime) -> list[int]:
    statement = (
        select(deliveries.c.id)
        .where(
            deliveries.c.hold_until <= now,
            deliveries.c.state == DeliveryState.HELD,
            deliveries.c.kind == DeliveryKind.EVENT,
        )
        .order_by(deliveries.c.hold_until)
        .limit(_EXPIRED_AT_ONCE)
    )
    return list(connection.execute(statement).scalars())


def _expire(connection: Connection, *, ids: Sequence[int], now: datetime) -> None:
    """A grant may have come since they were found; what it let go is held no more."""
    held = (deliveries.c.id.in_(ids), deliveries.c.state == DeliveryState.HELD, deliveries.c.hold_until <= now)
    still = list(connection.execute(select(deliveries.c.id).where(*held)).scalars())
    cancel(connection, still, state=DeliveryState.EXPIRED, reason="expired", drop_bodies=True, now=now)


def _ended(one: Discarded, now: datetime) -> Row:
    given = one.delivery._asdict()
    return {
        **given,
        "state": DeliveryState.SUPPRESSED,
        "customer_id": None,
        "body_id": None,
        "hold_until": None,
        "accepted_at": now,
        "finished_at": now,
        "decided_version": one.delivery.policy_version,
        "action": "suppress",
        "reason": one.reason,
        "detail": one.detail,
    }

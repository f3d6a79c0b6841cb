"""What reconciliation remembers: how far each store was read, what was found per day, and whose turn it is."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Select, exists, or_, select, update

from gateway.model.delivery import DeliveryKind, DeliveryState
from gateway.model.order import Origin, Relation, TopicGroup
from gateway.storage.statements import Row, insert_for, insert_ignoring, upsert
from gateway.storage.tables import deliveries, marks, orders, reconciliations, webhooks

ORDERS: Final = "orders"  # mark: the latest change that was compared
SUBSCRIPTIONS: Final = "subscriptions"  # mark: likewise
WEBHOOKS: Final = "webhooks"  # mark: what the store says of its webhooks


def take_turn(connection: Connection, store_id: str, name: str, *, until: datetime, now: datetime) -> bool:
    """Take a job for this process until an instant; False when another has it, or it is not yet time again."""
    row = {"store_id": store_id, "name": f"turn:{name}", "at": None, "detail": None, "updated_at": now}
    insert_ignoring(connection, marks, [row])
    taken = connection.execute(
        update(marks)
        .where(_is_turn(store_id, name), or_(marks.c.at.is_(None), marks.c.at <= now))
        .values(at=until, updated_at=now)
    )
    return taken.rowcount == 1


def keep_turn(connection: Connection, store_id: str, name: str, *, until: datetime, now: datetime) -> None:
    """Say when the job may next be taken: later while it goes on, or when it is time again."""
    connection.execute(update(marks).where(_is_turn(store_id, name)).values(at=until, updated_at=now))


def read_mark(connection: Connection, store_id: str, name: str) -> Row | None:
    """Return a mark."""
    statement = select(marks).where(marks.c.store_id == store_id, marks.c.name == name)
    row = connection.execute(statement).mappings().first()
    return dict(row) if row else None


def put_mark(
    connection: Connection, store_id: str, name: str, *, at: datetime | None, detail: Row | None, now: datetime
) -> None:
    """Write a mark."""
    row = {"store_id": store_id, "name": name, "at": at, "detail": detail, "updated_at": now}
    upsert(connection, marks, [row])


def count_days(connection: Connection, store_id: str, days: Mapping[str, tuple[int, int]]) -> None:
    """Add to the counts of days: how many changes a webhook had brought, and how many only reconciliation found."""
    statement = insert_for(connection, reconciliations)
    told = statement.excluded
    adding = statement.on_conflict_do_update(
        index_elements=["store_id", "day"],
        set_={"seen": reconciliations.c.seen + told["seen"], "found": reconciliations.c.found + told["found"]},
    )
    rows = [
        {"store_id": store_id, "day": day, "seen": seen, "found": found}
        for day, (seen, found) in sorted(days.items())
        if seen or found
    ]
    if rows:
        connection.execute(adding, rows)


def days_of(connection: Connection, store_id: str, *, limit: int) -> list[Row]:
    """Return the gap report of a store, the last day first."""
    columns = (reconciliations.c.day, reconciliations.c.seen, reconciliations.c.found)
    statement = select(*columns).where(reconciliations.c.store_id == store_id)
    rows = connection.execute(statement.order_by(reconciliations.c.day.desc()).limit(limit)).mappings()
    return [dict(row) for row in rows]


def last_reconciled(connection: Connection, store_id: str, order_ids: Collection[str]) -> set[str]:
    """Return those of the orders whose last change came by reconciliation and not by a webhook."""
    columns = (webhooks.c.order_id, webhooks.c.via)
    where = (webhooks.c.store_id == store_id, webhooks.c.order_id.in_(sorted(order_ids)))
    statement = select(*columns).where(*where).order_by(webhooks.c.received_at)
    last = {row.order_id: row.via for row in connection.execute(statement)}
    return {order_id for order_id, via in last.items() if via != "webhook"}


def known_guards(connection: Connection, store_id: str, guards: Collection[str]) -> set[str]:
    """Return those of the guards under which a webhook has come."""
    where = (webhooks.c.store_id == store_id, webhooks.c.guard.in_(sorted(guards)))
    return set(connection.execute(select(webhooks.c.guard).where(*where)).scalars())


@dataclass(frozen=True, slots=True)
class Window:
    """Which deliveries are looked through: those of some destinations whose wait ends until an instant."""

    destination_ids: Collection[str]
    now: datetime
    until: datetime


def waiting_renewals(connection: Connection, store_id: str, window: Window, *, limit: int) -> list[Row]:
    """Return renewals without a record of their own of which a delivery is held."""
    statement = (
        select(orders)
        .where(
            orders.c.store_id == store_id,
            orders.c.order_id.in_(_held_orders(store_id, window)),
            or_(orders.c.origin == Origin.RENEWAL, orders.c.relation == Relation.RENEWAL),
            orders.c.consent_state.is_(None),
        )
        .limit(limit)
    )
    return [dict(row) for row in connection.execute(statement).mappings()]


def waiting_parents(connection: Connection, store_id: str, window: Window, *, limit: int) -> list[str]:
    """Return the ids of orders for which a subscription's webhook or a scheduled renewal is held.

    Those that await an answer are left out.
    """
    is_open = exists().where(
        orders.c.store_id == deliveries.c.store_id,
        orders.c.order_id == deliveries.c.order_id,
        orders.c.frozen_at > window.now,
    )
    is_follower = or_(deliveries.c.topic_group == TopicGroup.SUBSCRIPTIONS, deliveries.c.kind == DeliveryKind.RENEWAL)
    held = _held_orders(store_id, window).where(is_follower, ~is_open)
    return [str(order_id) for order_id in connection.execute(held.limit(limit)).scalars()]


def _held_orders(store_id: str, window: Window) -> Select[tuple[str | None]]:
    """The orders of heads that are held: the index is by when they may be claimed."""
    return (
        select(deliveries.c.order_id)
        .distinct()
        .where(
            deliveries.c.destination_id.in_(sorted(window.destination_ids)),
            deliveries.c.claimable_at > window.now,
            deliveries.c.claimable_at <= window.until,
            deliveries.c.state == DeliveryState.HELD,
            deliveries.c.kind.in_((DeliveryKind.ORDER, DeliveryKind.RENEWAL)),
            deliveries.c.store_id == store_id,
            deliveries.c.order_id.is_not(None),
        )
    )


def disabled_webhooks(connection: Connection) -> dict[str, bool]:
    """Return per store whether one of its webhooks is switched off there, as it was last seen."""
    statement = select(marks.c.store_id, marks.c.detail).where(marks.c.name == WEBHOOKS)
    return {row.store_id: bool((row.detail or {}).get("disabled")) for row in connection.execute(statement)}


def _is_turn(store_id: str, name: str) -> Any:
    return (marks.c.store_id == store_id) & (marks.c.name == f"turn:{name}")

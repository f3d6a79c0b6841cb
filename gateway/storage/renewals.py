"""Renewals that shops schedule themselves, as rows: kept for months, taken when due by exactly one process."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, and_, select, update

from gateway.model.delivery import DeliveryState
from gateway.model.renewal import RenewalState
from gateway.storage.statements import Row, insert_for
from gateway.storage.tables import deliveries, orders, renewals
from gateway.storage.waiting import cancel, open_in_stream

PAGE: Final = 50


def add_renewal(connection: Connection, row: Row) -> tuple[Row, bool]:
    """Keep a renewal; return what is stored under its id, and whether that is new."""
    statement = insert_for(connection, renewals).values(row).on_conflict_do_nothing()
    added = connection.execute(statement.returning(renewals.c.renewal_id)).first() is not None
    stored = read_renewal(connection, row["store_id"], row["renewal_id"])
    return stored or row, added


def read_renewal(connection: Connection, store_id: str, renewal_id: str, *, lock: bool = False) -> Row | None:
    """Return one renewal."""
    statement = select(renewals).where(renewals.c.store_id == store_id, renewals.c.renewal_id == renewal_id)
    row = connection.execute(statement.with_for_update() if lock else statement).mappings().first()
    return dict(row) if row else None


def list_renewals(
    connection: Connection, store_id: str, *, after: str = "", origin_order_id: str = ""
) -> tuple[list[Row], str]:
    """Return a page of a store's renewals by id, and the id after which the next page begins, "" at the end."""
    statement = select(renewals).where(renewals.c.store_id == store_id, renewals.c.renewal_id > after)
    if origin_order_id:
        statement = statement.where(renewals.c.origin_order_id == origin_order_id)
    found = connection.execute(statement.order_by(renewals.c.renewal_id).limit(PAGE + 1)).mappings().all()
    rows = [dict(row) for row in found[:PAGE]]
    return rows, rows[-1]["renewal_id"] if len(found) > PAGE else ""


def change_renewal(connection: Connection, store_id: str, renewal_id: str, changes: Row) -> None:
    """Write changed columns."""
    connection.execute(
        update(renewals).where(renewals.c.store_id == store_id, renewals.c.renewal_id == renewal_id).values(changes)
    )


def cancel_renewals(
    connection: Connection,
    store_id: str,
    *,
    now: datetime,
    renewal_id: str | None = None,
    origin_order_ids: Collection[str] = (),
    forget: bool = False,
) -> int:
    """End one renewal, or all that began with some orders, with what waits of them; return how many there were.

    `forget` also deletes the rows with their properties and the bodies that wait.
    """
    named = renewals.c.renewal_id == renewal_id if renewal_id else renewals.c.origin_order_id.in_(origin_order_ids)
    statement = select(renewals.c.renewal_id).where(renewals.c.store_id == store_id, named).with_for_update()
    ids = list(connection.execute(statement.order_by(renewals.c.renewal_id)).scalars())
    for one in ids:
        cancel(
            connection,
            open_in_stream(connection, store_id, stream_of_renewal(one)),
            state=DeliveryState.CANCELLED,
            reason="renewal_cancelled",
            drop_bodies=forget,
            now=now,
        )
    where = (renewals.c.store_id == store_id, renewals.c.renewal_id.in_(ids))
    if forget:
        connection.execute(renewals.delete().where(*where))
    else:
        ended = {"state": RenewalState.CANCELLED, "next_at": None}
        connection.execute(update(renewals).where(*where, renewals.c.next_at.is_not(None)).values(ended))
    return len(ids)


def take_due(
    connection: Connection, *, store_ids: Collection[str], key_ids: Collection[str], now: datetime, limit: int
) -> list[Row]:
    """Return renewals with an occurrence that is due and under one of these keys, the longest waiting first.

    Their rows are locked until the transaction ends; those that another process has are left to it.
    """
    statement = (
        select(renewals)
        .where(_is_due(store_ids, now), renewals.c.key_id.in_(key_ids))
        .order_by(renewals.c.next_at, renewals.c.store_id, renewals.c.renewal_id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return [dict(row) for row in connection.execute(statement).mappings()]


def has_due_renewals(
    connection: Connection, *, store_ids: Collection[str], key_ids: Collection[str], under_others: bool, now: datetime
) -> bool:
    """Whether any renewal of these stores is due under one of these keys, or `under_others`, without locking."""
    is_known = renewals.c.key_id.in_(key_ids)
    due = select(renewals.c.renewal_id).where(_is_due(store_ids, now), ~is_known if under_others else is_known)
    return connection.execute(due.limit(1)).first() is not None


def occurrences_of(connection: Connection, store_id: str, renewal_id: str) -> list[Row]:
    """Return the deliveries that a renewal became, oldest first."""
    columns: Sequence[Any] = (
        deliveries.c.event_id,
        deliveries.c.destination_id,
        deliveries.c.state,
        deliveries.c.reason,
        deliveries.c.accepted_at,
        deliveries.c.finished_at,
    )
    where = (deliveries.c.store_id == store_id, deliveries.c.stream == stream_of_renewal(renewal_id))
    order_id = select(renewals.c.origin_order_id).where(
        renewals.c.store_id == store_id, renewals.c.renewal_id == renewal_id
    )
    # The index is by order; a renewal's deliveries name the order that began it.
    statement = select(*columns).where(*where, deliveries.c.order_id == order_id.scalar_subquery())
    return [dict(row) for row in connection.execute(statement.order_by(deliveries.c.id)).mappings()]


def customers_of_orders(connection: Connection, keys: Collection[tuple[str, str]]) -> dict[tuple[str, str], Row]:
    """Return customer and session of orders by (store id, order id), and whether the order itself was seen."""
    columns = (orders.c.store_id, orders.c.order_id, orders.c.customer_id, orders.c.session_hash, orders.c.has_order)
    found: dict[tuple[str, str], Row] = {}
    for store_id, order_id in keys:
        statement = select(*columns).where(orders.c.store_id == store_id, orders.c.order_id == order_id)
        row = connection.execute(statement).mappings().first()
        if row is not None:
            found[store_id, order_id] = dict(row)
    return found


def _is_due(store_ids: Collection[str], now: datetime) -> ColumnElement[bool]:
    return and_(renewals.c.next_at <= now, renewals.c.store_id.in_(store_ids))


def stream_of_renewal(renewal_id: str) -> str:
    """Return the stream in which a renewal's occurrences go in order."""
    return f"renewal:{renewal_id}"

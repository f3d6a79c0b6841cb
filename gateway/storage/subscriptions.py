"""Subscriptions as rows, learned from their own webhooks and from the renewals that name them."""

from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Select, and_, case, func, or_, select, update

from gateway.model.order import Order, Relation, Subscription
from gateway.storage.bulk import select_rows
from gateway.storage.lists import rows_parameter, select_by_rows
from gateway.storage.statements import Row, insert_for, rows_by
from gateway.storage.tables import orders, subscriptions

Key = tuple[str, str]  # store id and subscription id

#: Words of stores for subscriptions that ask for no more payments.
_RESTING: Final = ("cancelled", "expired", "pending-cancel", "on-hold", "paused", "failed", "switched", "trash")


def record_subscriptions(
    connection: Connection,
    told: Sequence[tuple[str, Subscription, datetime]],
    renewals: Sequence[tuple[str, Order, datetime]] = (),
) -> None:
    """Keep what webhooks say of subscriptions, and what orders say that name them.

    What is known is never erased by silence, and a webhook that came late does not overwrite a newer one.
    """
    rows: dict[Key, Row] = {}
    for store_id, one, now in told:
        _add(rows, _told_row(store_id, one, now))
    for store_id, order, now in renewals:
        for subscription_id in order.subscription_ids:
            _add(rows, _named_row(store_id, subscription_id, order, now))
    if not rows:
        return
    statement = insert_for(connection, subscriptions)
    upsert = statement.on_conflict_do_update(
        index_elements=["store_id", "subscription_id"], set_=_merged(statement.excluded)
    )
    for key in sorted(rows):
        connection.execute(upsert, [rows[key]])


def overdue_subscriptions(
    connection: Connection, store_id: str, *, due_before: datetime, seen_before: datetime, limit: int
) -> list[Row]:
    """Return subscriptions whose payment was due before an instant, with no renewal seen since it was.

    Those that were looked up after `seen_before` are left out; the longest overdue come first.
    """
    due = subscriptions.c.next_payment_at
    statement = (
        select(subscriptions)
        .where(
            subscriptions.c.store_id == store_id,
            due.is_not(None),
            due < due_before,
            subscriptions.c.status.not_in(_RESTING),
            or_(subscriptions.c.last_renewal_at.is_(None), subscriptions.c.last_renewal_at < due),
            or_(subscriptions.c.watched_at.is_(None), subscriptions.c.watched_at < seen_before),
        )
        .order_by(due)
        .limit(limit)
    )
    return [dict(row) for row in connection.execute(statement).mappings()]


def take_watch(connection: Connection, key: Key, *, seen_before: datetime, now: datetime) -> bool:
    """Take the right to look a subscription up; False when somebody else just did."""
    taken = connection.execute(
        update(subscriptions)
        .where(
            subscriptions.c.store_id == key[0],
            subscriptions.c.subscription_id == key[1],
            or_(subscriptions.c.watched_at.is_(None), subscriptions.c.watched_at < seen_before),
        )
        .values(watched_at=now)
    )
    return taken.rowcount == 1


def subscription_rows(connection: Connection, keys: Sequence[Key]) -> dict[Key, Row]:
    """Return the rows of subscriptions by (store id, subscription id)."""
    rows = rows_by(connection, subscriptions, ("store_id", "subscription_id"), keys)
    return {(row["store_id"], row["subscription_id"]): row for row in rows}


def known_parents(connection: Connection, keys: Sequence[Key]) -> set[Key]:
    """Return those of the subscriptions that began with an order which the gateway has seen."""
    named = (subscriptions.c.store_id, subscriptions.c.subscription_id)
    return {(row["store_id"], row["subscription_id"]) for row in _found(connection, _KNOWN_PARENTS, named, keys)}


def customers_with_record(connection: Connection, keys: Sequence[Key]) -> set[Key]:
    """Return those of the customers (store id, customer id) of whom an order has a consent record."""
    named = (orders.c.store_id, orders.c.customer_id)
    return {(row["store_id"], row["customer_id"]) for row in _found(connection, _WITH_RECORD, named, keys)}


def has_subscriptions(connection: Connection, keys: Sequence[Key]) -> bool:
    """Whether any of the customers (store id, customer id) subscribed to something."""
    named = (subscriptions.c.store_id, subscriptions.c.customer_id)
    return bool(_found(connection, _SUBSCRIBED, named, keys))


def _found(connection: Connection, wanted: Select[Any], columns: tuple[Any, Any], keys: Sequence[Key]) -> list[Row]:
    if not keys:
        return []
    statement = _by_keys(connection.dialect.name, wanted, columns)
    return select_rows(connection, statement, {"keys": rows_parameter(sorted(set(keys)))})


@cache
def _by_keys(dialect: str, wanted: Select[Any], columns: tuple[Any, Any]) -> Select[Any]:
    return select_by_rows(dialect, wanted, columns)


_IS_PARENT: Final = and_(
    orders.c.store_id == subscriptions.c.store_id, orders.c.order_id == subscriptions.c.parent_order_id
)
_KNOWN_PARENTS: Final = (
    select(subscriptions.c.store_id, subscriptions.c.subscription_id).join(orders, _IS_PARENT).where(orders.c.has_order)
)
_WITH_RECORD: Final = (
    select(orders.c.store_id, orders.c.customer_id)
    .distinct()
    .where(orders.c.consent_state.is_not(None), orders.c.customer_id.is_not(None))  # which the index asks for
)
_SUBSCRIBED: Final = (
    select(subscriptions.c.store_id, subscriptions.c.customer_id)
    .distinct()
    .where(subscriptions.c.customer_id.is_not(None))  # which the index asks for
)
_COLUMNS: Final = (
    "parent_order_id",
    "customer_id",
    "status",
    "period",
    "every",
    "next_payment_at",
    "last_renewal_at",
    "changed_at",
)
_NOTHING: Final = {"status": "", "period": ""}


def _told_row(store_id: str, one: Subscription, now: datetime) -> Row:
    return {
        "store_id": store_id,
        "subscription_id": one.subscription_id,
        "parent_order_id": one.parent_order_id,
        "customer_id": one.customer_id,
        "status": one.status,
        "period": one.period,
        "every": one.interval,
        "next_payment_at": one.next_payment_at,
        "last_renewal_at": now if one.renewal_order_id else None,
        "changed_at": one.updated_at,
        "seen_at": now,
    }


def _named_row(store_id: str, subscription_id: str, order: Order, now: datetime) -> Row:
    nothing = {name: _NOTHING.get(name) for name in _COLUMNS}
    is_renewal = order.relation is Relation.RENEWAL
    return {
        **nothing,
        "store_id": store_id,
        "subscription_id": subscription_id,
        "customer_id": order.customer_id,
        "last_renewal_at": (order.created_at or now) if is_renewal else None,
        "seen_at": now,
    }


def _add(rows: dict[Key, Row], row: Row) -> None:
    key = (row["store_id"], row["subscription_id"])
    known = rows.get(key)
    rows[key] = row if known is None else _merge(known, row)


def _merge(known: Row, told: Row) -> Row:
    """Merge what one batch says of a subscription, by the rules of `_merged`."""
    is_late = known["changed_at"] and told["changed_at"] and told["changed_at"] < known["changed_at"]
    first, second = (known, told) if is_late else (told, known)
    merged = {name: first[name] or second[name] for name in _COLUMNS}
    merged["next_payment_at"] = first["next_payment_at"] if first["status"] else second["next_payment_at"]
    for name in ("last_renewal_at", "changed_at"):
        merged[name] = max((row[name] for row in (known, told) if row[name]), default=None)
    return {**told, **merged}


def _merged(told: Any) -> dict[str, ColumnElement[Any]]:
    """Say per column what an update leaves: the newer webhook's word, else what is known."""
    known = subscriptions.c
    is_late = known.changed_at > told["changed_at"]
    changes: dict[str, ColumnElement[Any]] = {
        name: case(
            (is_late, func.coalesce(_said(known[name], name), told[name])),
            else_=func.coalesce(_said(told[name], name), known[name]),
        )
        for name in ("parent_order_id", "customer_id", "status", "period", "every")
    }
    # A store that gives a status also says that nothing more is due by giving no date.
    is_silent = or_(is_late, told["status"] == "")
    changes["next_payment_at"] = case((is_silent, known.next_payment_at), else_=told["next_payment_at"])
    for name in ("last_renewal_at", "changed_at", "seen_at"):
        is_newer = or_(known[name].is_(None), told[name] > known[name])
        changes[name] = case((is_newer, told[name]), else_=known[name])
    return changes


def _said(column: ColumnElement[Any], name: str) -> ColumnElement[Any]:
    return func.nullif(column, "") if name in _NOTHING else column

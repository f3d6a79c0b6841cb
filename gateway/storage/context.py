"""What dispatch reads of a batch: bodies, orders, the orders that began their subscriptions, and lowerings."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Connection, FromClause, Select, and_, func, select

from gateway.model.consent import Lowering
from gateway.model.order import Origin, Relation
from gateway.storage.bulk import select_rows
from gateway.storage.consent import Subject, lowerings_of, order_rows
from gateway.storage.lists import ids_parameter, is_in_ids, rows_parameter, select_by_rows
from gateway.storage.statements import Row, rows_by
from gateway.storage.subscriptions import subscription_rows
from gateway.storage.tables import bodies, customers, orders, sessions, subscriptions

Key = tuple[str, str]


@dataclass(slots=True)
class Context:
    """Rows by key, as they were in one read."""

    orders: dict[Key, Row] = field(default_factory=dict)
    subscriptions: dict[Key, Row] = field(default_factory=dict)
    customers: dict[Key, Row] = field(default_factory=dict)
    sessions: dict[Key, Row] = field(default_factory=dict)
    lowerings: dict[Subject, list[Lowering]] = field(default_factory=dict)
    bodies: dict[int, Row] = field(default_factory=dict)
    beginnings: dict[Key, list[Row]] = field(default_factory=dict)

    def parents_of(self, store_id: str, subscription_ids: Collection[str]) -> list[Row]:
        """Return the rows of the orders that began these subscriptions, of those that are known."""
        told = [self.subscriptions.get((store_id, one)) or {} for one in subscription_ids]
        rows = [self.orders.get((store_id, one.get("parent_order_id") or "")) for one in told]
        return [row for row in rows if row is not None and row["has_order"]]

    def of_unseen(self, store_id: str, order_ids: Collection[str]) -> list[Lowering]:
        """Return what was taken back of orders whose own webhooks never came."""
        unseen = [one for one in order_ids if not (self.orders.get((store_id, one)) or {}).get("has_order")]
        return [lowering for one in unseen for lowering in self.lowerings.get((store_id, "order", one), [])]

    def of_unseen_parents(self, store_id: str, subscription_ids: Collection[str]) -> list[Lowering]:
        """Return what was taken back of the orders that began these subscriptions, of those never seen."""
        told = [self.subscriptions.get((store_id, one)) or {} for one in subscription_ids]
        return self.of_unseen(store_id, [one["parent_order_id"] for one in told if one.get("parent_order_id")])

    def of_email(self, store_id: str, email_hash: str | None) -> list[Lowering]:
        """Return what was taken back for an e-mail address."""
        return self.lowerings.get((store_id, "email", email_hash or ""), [])

    def behind(self, order: Row) -> list[Row]:
        """Return the rows of the orders that a renewal follows: by its subscriptions, else by its customer."""
        if order["subscription_ids"]:
            return self.parents_of(order["store_id"], order["subscription_ids"])
        return self.beginnings.get((order["store_id"], order["customer_id"] or ""), [])


def load_context(
    connection: Connection,
    *,
    order_keys: Sequence[Key] = (),
    subscription_keys: Sequence[Key] = (),
    people: Collection[Subject] = (),
    session_keys: Sequence[Key] = (),
    body_ids: Collection[int] = (),
) -> Context:
    """Read everything that decides a batch; the number of queries does not grow with the batch.

    `people` are customers by their ids, and those whose e-mail address is known by its keyed hash.
    """
    context = Context(orders=order_rows(connection, order_keys), bodies=_body_rows(connection, body_ids))
    named = [(row["store_id"], one) for row in context.orders.values() for one in row["subscription_ids"]]
    context.subscriptions = subscription_rows(connection, [*subscription_keys, *named])
    parents = [
        (row["store_id"], row["parent_order_id"]) for row in context.subscriptions.values() if row["parent_order_id"]
    ]
    context.orders.update(order_rows(connection, [key for key in parents if key not in context.orders]))
    unlinked = [(row["store_id"], row["customer_id"]) for row in context.orders.values() if _is_unlinked(row)]
    context.beginnings = _beginnings_of(connection, unlinked)
    context.sessions = _sessions(connection, session_keys)
    customer_keys = [(store_id, one) for store_id, kind, one in people if kind == "customer"]
    context.customers = _customers(connection, [*customer_keys, *_buyers(context), *_owners(context)])
    asked = [(store_id, "order", order_id) for store_id, order_id in [*order_keys, *parents]]
    context.lowerings = lowerings_of(connection, sorted({*people, *asked, *_subjects(context)}))
    return context


def is_renewal(order: Mapping[str, object]) -> bool:
    """Whether an order was made by a subscription, by its own word or by its subscription's."""
    return order["origin"] == Origin.RENEWAL or order["relation"] == Relation.RENEWAL


def newest_record_of_customer(connection: Connection, store_id: str, customer_id: str) -> Row | None:
    """Return the order of a customer whose record was captured last."""
    statement = (
        select(orders)
        .where(orders.c.store_id == store_id, orders.c.customer_id == customer_id, orders.c.consent_state == "answered")
        .order_by(orders.c.captured_at.desc())
        .limit(1)
    )
    row = connection.execute(statement).mappings().first()
    return dict(row) if row else None


def _subjects(context: Context) -> Iterator[Subject]:
    """Every subject whose lowerings may count for what was read."""
    followed = [row for rows in context.beginnings.values() for row in rows]
    for row in [*context.orders.values(), *followed]:
        yield from _subjects_of(row)
    for (store_id, subscription_id), row in context.subscriptions.items():
        yield store_id, "subscription", subscription_id
        if row["customer_id"]:
            yield store_id, "customer", row["customer_id"]
            yield store_id, "renewals", row["customer_id"]


def _subjects_of(order: Row) -> list[Subject]:
    """Return every subject whose lowerings may count for an order or for its renewals."""
    store_id = order["store_id"]
    named = [
        ("order", order["order_id"]),
        ("session", order["session_hash"]),
        ("customer", order["customer_id"]),
        ("email", order["email_hash"]),
        ("renewals", order["customer_id"]),
        *(("subscription", subscription_id) for subscription_id in order["subscription_ids"]),
    ]
    return [(store_id, kind, subject) for kind, subject in named if subject]


def _beginnings_of(connection: Connection, customer_keys: Sequence[Key]) -> dict[Key, list[Row]]:
    """Return the orders with a record by which customers' renewals go that name no subscription.

    These are the orders that began their subscriptions, where they are known; else the first order of each customer
    that has a record. What later orders denied lowers it, and what they granted does not raise it.
    """
    if not customer_keys:
        return {}
    keys = sorted(set(customer_keys))
    dialect = connection.dialect.name
    found = _by_customer(select_rows(connection, _began_subscriptions(dialect), {"keys": rows_parameter(keys)}))
    others = [key for key in keys if key not in found]
    if not others:
        return found
    return found | _by_customer(select_rows(connection, _first_orders(dialect), {"keys": rows_parameter(others)}))


def _body_rows(connection: Connection, body_ids: Collection[int]) -> dict[int, Row]:
    """Return sealed bodies by id."""
    if not body_ids:
        return {}
    dialect = connection.dialect.name
    found = select_rows(connection, _bodies(dialect), {"ids": ids_parameter(dialect, sorted(body_ids))})
    return {row["id"]: row for row in found}


def _buyers(context: Context) -> list[Key]:
    """The customers of the orders: their newest answer may count for renewals, scheduled ones too."""
    return [(row["store_id"], row["customer_id"]) for row in context.orders.values() if row["customer_id"]]


def _is_unlinked(order: Row) -> bool:
    return is_renewal(order) and not order["subscription_ids"] and order["customer_id"] is not None


def _by_customer(rows: Iterable[Row]) -> dict[Key, list[Row]]:
    found: dict[Key, dict[str, Row]] = {}
    for row in rows:
        found.setdefault((row["store_id"], row["buyer"]), {})[row["order_id"]] = row
    return {key: list(rows.values()) for key, rows in found.items()}


@cache
def _began_subscriptions(dialect: str) -> Select[Any]:
    is_parent = and_(
        subscriptions.c.store_id == orders.c.store_id, subscriptions.c.parent_order_id == orders.c.order_id
    )
    parents = select(orders, subscriptions.c.customer_id.label("buyer")).join(subscriptions, is_parent)
    with_record = parents.where(
        orders.c.consent_state.is_not(None),
        subscriptions.c.customer_id.is_not(None),  # which the index asks for
    )
    buyer = (subscriptions.c.store_id, subscriptions.c.customer_id)
    return select_by_rows(dialect, with_record, buyer)


@cache
def _first_orders(dialect: str) -> Select[Any]:
    others = orders.alias("others")
    is_theirs = (others.c.store_id == orders.c.store_id, others.c.customer_id == orders.c.customer_id)
    first_at = select(func.min(_placed(others))).where(*is_theirs, *_counts(others)).scalar_subquery()
    first = select(orders, orders.c.customer_id.label("buyer")).where(*_counts(orders), _placed(orders) == first_at)
    return select_by_rows(dialect, first, (orders.c.store_id, orders.c.customer_id))


def _placed(table: FromClause) -> ColumnElement[Any]:
    return func.coalesce(table.c.placed_at, table.c.seen_at)


def _counts(table: FromClause) -> tuple[ColumnElement[bool], ...]:
    return (
        table.c.customer_id.is_not(None),  # which the index asks for
        table.c.consent_state.is_not(None),
        table.c.origin != Origin.RENEWAL.value,
        table.c.relation != Relation.RENEWAL.value,
    )


def _owners(context: Context) -> list[Key]:
    """The customers that sessions are known to belong to."""
    return [(row["store_id"], row["customer_id"]) for row in context.sessions.values() if row["customer_id"]]


def _customers(connection: Connection, keys: Sequence[Key]) -> dict[Key, Row]:
    rows = rows_by(connection, customers, ("store_id", "customer_id"), keys)
    return {(row["store_id"], row["customer_id"]): row for row in rows}


def _sessions(connection: Connection, keys: Sequence[Key]) -> dict[Key, Row]:
    rows = rows_by(connection, sessions, ("store_id", "session_hash"), keys)
    return {(row["store_id"], row["session_hash"]): row for row in rows}


@cache
def _bodies(dialect: str) -> Select[Any]:
    return select(bodies.c.id, bodies.c.key_id, bodies.c.sealed).where(is_in_ids(dialect, bodies.c.id))

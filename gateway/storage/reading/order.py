"""Everything that one order's page shows, in a handful of queries."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, and_, func, select, union_all

from gateway.model.consent import Choices
from gateway.storage.context import Context, is_renewal, load_context
from gateway.storage.reading.deliveries import AttemptRow, DeliveryRow, delivery_row, read_attempts
from gateway.storage.reading.keyset import Columns, sorted_last
from gateway.storage.tables import deliveries, orders, records, renewals, subscriptions, webhooks

ROWS = 200  # of each kind; an order with more shows its newest


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderDetail:
    """One order as it is stored, as far as its page and its story show it."""

    store_id: str
    order_id: str
    number: str
    status: str
    origin: str
    relation: str
    subscription_ids: Sequence[str]
    customer_id: str | None
    session_hash: str | None = field(repr=False)
    currency: str
    total: str
    placed_at: datetime | None
    seen_at: datetime
    frozen_at: datetime
    has_order: bool
    record_id: int | None
    consent_state: str | None
    basis: str | None
    recorded_at: datetime | None
    entry: str | None
    gpc: bool
    region: str
    given_after: bool
    unreadable: bool
    erased_at: datetime | None

    @property
    def has_record(self) -> bool:
        """Whether anything is known of the consent at order time."""
        return self.consent_state is not None

    @property
    def is_renewal(self) -> bool:
        """Whether a subscription made this order."""
        return is_renewal({"origin": self.origin, "relation": self.relation})


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordRow:
    """One signal as it was heard."""

    id: int
    order_id: str | None
    channel: str
    state: str
    received_at: datetime
    gpc: bool
    cmp: str
    note: str
    unreadable: bool
    choices: Choices
    has_evidence: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookRow:
    """One webhook that named the order."""

    topic: str
    status: str
    reason: str
    via: str
    received_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RenewalRow:
    """A renewal that the shop scheduled with the gateway."""

    renewal_id: str
    every_days: int | None
    count: int
    next_at: datetime | None
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RelatedOrder:
    """Another order of the same subscription."""

    order_id: str
    number: str
    relation: str
    seen_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderHistory:
    """One order with all that happened to it, each kind in its order of time."""

    order: OrderDetail
    parents: Sequence[OrderDetail] = ()  # of a renewal: the orders that it may follow
    context: Context = field(repr=False)  # the same rows, as decisions read them
    kept: Mapping[int, RecordRow] = field(default_factory=dict)  # signals by id, those of the parents' records too
    records: Sequence[RecordRow] = ()
    webhooks: Sequence[WebhookRow] = ()
    deliveries: Sequence[DeliveryRow] = ()
    attempts: Sequence[AttemptRow] = ()
    renewals: Sequence[RenewalRow] = ()
    later: Sequence[RelatedOrder] = ()


def read_order(connection: Connection, store_id: str, order_id: str) -> OrderHistory | None:
    """Read one order with its history, None where nothing ever told of it."""
    context = load_context(connection, order_keys=[(store_id, order_id)])
    row = context.orders.get((store_id, order_id))
    order = _detail(row) if row is not None else _untold(connection, store_id, order_id)
    if order is None:
        return None
    behind = context.behind(row) if row is not None and order.is_renewal else []
    parents = [_detail(one) for one in behind if one["order_id"] != order_id]
    signals = _records(connection, order, parents)
    sent = _deliveries(connection, order)
    return OrderHistory(
        order=order,
        parents=parents,
        context=context,
        kept={one.id: one for one in signals},
        records=[one for one in signals if one.order_id not in {parent.order_id for parent in parents}],
        webhooks=_webhooks(connection, order),
        deliveries=sent,
        attempts=read_attempts(connection, [one.delivery_id for one in sent]) if sent else (),
        renewals=_renewals(connection, order),
        later=_later(connection, order),
    )


def _records(connection: Connection, order: OrderDetail, parents: Sequence[OrderDetail]) -> list[RecordRow]:
    """Read the signals that name the order, its session or its customer, and its record and those of its parents."""
    wanted: list[ColumnElement[bool]] = [records.c.order_id == order.order_id]
    if order.session_hash:
        wanted.append(and_(records.c.session_hash == order.session_hash, records.c.session_hash.is_not(None)))
    if order.customer_id:
        by_customer = and_(records.c.customer_id == order.customer_id, records.c.customer_id.is_not(None))
        wanted.append(and_(by_customer, records.c.order_id.is_(None)))
    kept = [one.record_id for one in (order, *parents) if one.record_id]
    wanted += [records.c.id.in_(kept)] if kept else []
    newest = select(records.c.id).where(records.c.store_id == order.store_id).order_by(records.c.id.desc()).limit(ROWS)
    # A short walk along an index for each; one condition of all with OR would read the whole table.
    walks = [select(newest.where(condition).subquery()) for condition in wanted]
    chosen = records.c.id.in_(select(union_all(*walks).subquery().c.id))
    query = select(*_RECORD_COLUMNS).where(chosen).order_by(records.c.id)
    return [_record(row) for row in connection.execute(query).mappings()]


def _webhooks(connection: Connection, order: OrderDetail) -> list[WebhookRow]:
    query = (
        select(*(webhooks.c[name] for name in WebhookRow.__dataclass_fields__))
        .where(webhooks.c.store_id == order.store_id, webhooks.c.order_id == order.order_id)
        .order_by(webhooks.c.received_at.desc())
        .limit(ROWS)
    )
    return [WebhookRow(**row) for row in connection.execute(query).mappings()][::-1]


def _deliveries(connection: Connection, order: OrderDetail) -> list[DeliveryRow]:
    query = (
        select(deliveries)
        .where(deliveries.c.store_id == order.store_id, deliveries.c.order_id == order.order_id)
        .order_by(deliveries.c.id.desc())
        .limit(ROWS)
    )
    return [delivery_row(row) for row in connection.execute(query).mappings()][::-1]


def _renewals(connection: Connection, order: OrderDetail) -> list[RenewalRow]:
    query = (
        select(*(renewals.c[name] for name in RenewalRow.__dataclass_fields__))
        .where(renewals.c.store_id == order.store_id, renewals.c.origin_order_id == order.order_id)
        .order_by(renewals.c.due_at)
        .limit(ROWS)
    )
    return [RenewalRow(**row) for row in connection.execute(query).mappings()]


def _later(connection: Connection, order: OrderDetail) -> list[RelatedOrder]:
    """Find the renewals that follow this order, among the customer's orders."""
    if order.is_renewal or not order.customer_id:
        return []
    mine = set(order.subscription_ids) or _begun(connection, order)
    if not mine:
        return []
    query = (
        select(orders.c.order_id, orders.c.number, orders.c.relation, orders.c.seen_at, orders.c.subscription_ids)
        .where(orders.c.store_id == order.store_id, orders.c.customer_id == order.customer_id)
        .order_by(sorted_last(orders.c.seen_at).desc())
        .limit(ROWS)
    )
    return [
        RelatedOrder(order_id=row.order_id, number=row.number, relation=row.relation, seen_at=row.seen_at)
        for row in connection.execute(query)
        if row.order_id != order.order_id and row.relation != "none" and mine & set(row.subscription_ids or ())
    ][::-1]


def _begun(connection: Connection, order: OrderDetail) -> set[str]:
    """The subscriptions that this order began."""
    query = select(subscriptions.c.subscription_id).where(
        subscriptions.c.store_id == order.store_id, subscriptions.c.parent_order_id == order.order_id
    )
    return set(connection.execute(query.limit(ROWS)).scalars())


_RECORD_COLUMNS: Sequence[Column[Any] | ColumnElement[Any]] = (
    *(records.c[name] for name in RecordRow.__dataclass_fields__ if name not in ("choices", "has_evidence")),
    records.c.choices,
    records.c.sealed.is_not(None).label("has_evidence"),
)


def _record(row: Columns) -> RecordRow:
    return RecordRow(**{**row, "choices": Choices.of_json(row["choices"] or {})})


def _untold(connection: Connection, store_id: str, order_id: str) -> OrderDetail | None:
    """An order that itself never came in: only a refund or a deletion told of it, and was delivered."""
    own = (deliveries.c.store_id == store_id, deliveries.c.order_id == order_id)
    told_at = connection.execute(select(func.min(deliveries.c.accepted_at)).where(*own)).scalar()
    if told_at is None:
        return None
    values: dict[str, Any] = dict.fromkeys(OrderDetail.__dataclass_fields__)
    values |= dict.fromkeys(("number", "status", "origin", "currency", "total", "region"), "")
    values |= dict.fromkeys(("has_order", "gpc", "given_after", "unreadable"), False)
    values |= {"store_id": store_id, "order_id": order_id, "relation": "none"}
    return _detail({**values, "seen_at": told_at, "frozen_at": told_at})


def _detail(row: Columns) -> OrderDetail:
    values = {name: row[name] for name in OrderDetail.__dataclass_fields__}
    values["subscription_ids"] = tuple(values["subscription_ids"] or ())
    return OrderDetail(**values)

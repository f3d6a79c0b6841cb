"""Old rows leave in small batches, each a short transaction of its own, so that nothing waits long for them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Select, Table, and_, delete, exists, or_, select

from gateway.storage.database import Database
from gateway.storage.statements import is_among
from gateway.storage.tables import (
    attempts,
    audits,
    bodies,
    customers,
    deliveries,
    events,
    lowerings,
    order_keys,
    orders,
    parked,
    records,
    renewals,
    sessions,
    subscriptions,
    throttles,
    webhooks,
)

BATCH: Final = 200
SESSION_DAYS: Final = 400  # a visit; its denials live on in records and lowerings


@dataclass(frozen=True, slots=True, kw_only=True)
class Ages:
    """How long rows are kept."""

    body_days: float
    record_days: float


def drop_old_rows(database: Database, ages: Ages, *, is_stopping: Callable[[], bool] = lambda: False) -> dict[str, int]:
    """Delete what is too old and return how many rows went, by table; safe to stop and to run in many processes."""
    now = database.now()
    old = now - timedelta(days=ages.record_days)
    gone = {"deliveries": _drop_deliveries(database, old, is_stopping)}
    for table, is_old in _rules(now, ages, old, _needed_since(database, old)):
        gone[table.name] = _repeat(partial(_drop_batch, database, table, is_old), is_stopping)
    return gone


def _needed_since(database: Database, old: datetime) -> datetime:
    """Return since when consent is needed by what is kept: a paused destination's deliveries wait for any time."""
    query = select(deliveries.c.accepted_at).order_by(deliveries.c.id).limit(1)
    first: datetime | None = database.read(lambda connection: connection.execute(query).scalar())
    return old if first is None else min(old, first)


def _rules(
    now: datetime, ages: Ages, old: datetime, needed_since: datetime
) -> Iterator[tuple[Table, ColumnElement[bool]]]:
    is_needed = exists().where(deliveries.c.body_id == bodies.c.id, deliveries.c.finished_at.is_(None))
    yield bodies, and_(bodies.c.created_at < now - timedelta(days=ages.body_days), ~is_needed)
    yield parked, parked.c.expires_at < now
    yield throttles, throttles.c.expires_at < now
    yield sessions, sessions.c.updated_at < now - timedelta(days=min(ages.record_days, SESSION_DAYS))
    yield webhooks, webhooks.c.received_at < old
    yield events, events.c.received_at < old
    yield renewals, and_(renewals.c.next_at.is_(None), renewals.c.updated_at < old)
    counts = or_(_has_deliveries(), _is_renewed(needed_since))
    yield orders, and_(orders.c.seen_at < old, orders.c.frozen_at < old, ~counts)
    yield records, and_(records.c.received_at < old, ~_is_shown())
    yield audits, audits.c.at < old


def _has_deliveries() -> ColumnElement[bool]:
    """Whether deliveries of an order are there, which may be sent yet, or sent again: by its consent."""
    return exists().where(deliveries.c.store_id == orders.c.store_id, deliveries.c.order_id == orders.c.order_id)


def _is_renewed(since: datetime) -> ColumnElement[bool]:
    """Whether an order's consent still counts for subscriptions or renewals that it began."""
    by_subscription = exists().where(
        subscriptions.c.store_id == orders.c.store_id,
        subscriptions.c.parent_order_id == orders.c.order_id,
        subscriptions.c.seen_at >= since,
    )
    by_schedule = exists().where(
        renewals.c.store_id == orders.c.store_id, renewals.c.origin_order_id == orders.c.order_id
    )
    return or_(by_subscription, by_schedule)


def _is_shown() -> ColumnElement[bool]:
    """Whether a record belongs to an order or is the stored choice of a customer."""
    of_order = exists().where(orders.c.store_id == records.c.store_id, orders.c.order_id == records.c.order_id)
    of_customer = exists().where(
        customers.c.store_id == records.c.store_id,
        customers.c.customer_id == records.c.customer_id,
        customers.c.record_id == records.c.id,
    )
    return or_(of_order, of_customer)


def _repeat(batch: Callable[[], int], is_stopping: Callable[[], bool]) -> int:
    total = 0
    while not is_stopping():
        gone = batch()
        total += gone
        if gone < BATCH:
            break
    return total


def _drop_batch(database: Database, table: Table, is_old: ColumnElement[bool]) -> int:
    keys = list(table.primary_key)
    chosen = _read(database, select(*keys).where(is_old).limit(BATCH))
    values = [tuple(row) for row in chosen]
    if values:
        database.write(lambda connection: _delete(connection, table, values, is_old))
    return len(values)


def _delete(
    connection: Connection, table: Table, values: Sequence[tuple[Any, ...]], is_old: ColumnElement[bool]
) -> None:
    connection.execute(delete(table).where(is_among(list(table.primary_key), values), is_old))
    if table is orders:
        connection.execute(delete(order_keys).where(is_among([order_keys.c.store_id, order_keys.c.order_id], values)))
        of_orders = (lowerings.c.subject_kind == "order", is_among([lowerings.c.store_id, lowerings.c.subject], values))
        connection.execute(delete(lowerings).where(*of_orders))


def _drop_deliveries(database: Database, old: datetime, is_stopping: Callable[[], bool]) -> int:
    """Delete finished deliveries from the first one on; their numbers rise with time."""
    total, after = 0, 0
    columns = (deliveries.c.id, deliveries.c.accepted_at, deliveries.c.finished_at)
    while not is_stopping():
        following = select(*columns).where(deliveries.c.id > after).order_by(deliveries.c.id).limit(BATCH)
        rows = _read(database, following)
        ids = [row.id for row in rows if row.finished_at is not None and max(row.accepted_at, row.finished_at) < old]
        if ids:
            database.write(partial(_delete_deliveries, ids=ids))
        total += len(ids)
        if len(rows) < BATCH or rows[-1].accepted_at >= old:
            break
        after = rows[-1].id
    return total


def _delete_deliveries(connection: Connection, *, ids: Sequence[int]) -> None:
    connection.execute(delete(attempts).where(attempts.c.delivery_id.in_(ids)))
    connection.execute(delete(deliveries).where(deliveries.c.id.in_(ids)))


def _read(database: Database, query: Select[Any]) -> Sequence[Any]:
    return database.read(lambda connection: connection.execute(query).all())

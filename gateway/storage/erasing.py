"""Erasing one customer: bodies, evidence and keys go; that something was decided stays, without a person in it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Table, and_, delete, or_, select, update

from gateway.storage.lists import chunks_of
from gateway.storage.outcomes import forget_people
from gateway.storage.tables import (
    bodies,
    customers,
    deliveries,
    order_keys,
    orders,
    parked,
    records,
    sessions,
    subscriptions,
)

_CHUNK: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Whom everything is about: a customer, the sessions that are known to be theirs, and their orders."""

    store_id: str
    customer_id: str | None
    order_ids: tuple[str, ...] = ()
    session_hashes: tuple[str, ...] = field(default=(), repr=False)
    email_hashes: tuple[str, ...] = field(default=(), repr=False)


def find_person(
    connection: Connection,
    store_id: str,
    customer_id: str | None,
    email_hashes: Sequence[str],
    order_ids: Sequence[str],
) -> Person:
    """Gather the orders and sessions of a customer: those that are named, and those that are known to be theirs."""
    theirs: list[ColumnElement[bool]] = [orders.c.order_id.in_(list(order_ids))]
    theirs += [orders.c.customer_id == customer_id] if customer_id else []
    theirs += [orders.c.email_hash.in_(email_hashes)] if email_hashes else []
    rows = connection.execute(
        select(orders.c.order_id, orders.c.session_hash).where(orders.c.store_id == store_id, or_(*theirs))
    ).all()
    visits = {row.session_hash for row in rows if row.session_hash}
    if customer_id:
        own = (sessions.c.store_id == store_id, sessions.c.customer_id == customer_id)
        visits |= set(connection.execute(select(sessions.c.session_hash).where(*own)).scalars())
    return Person(
        store_id=store_id,
        customer_id=customer_id,
        order_ids=tuple(sorted({*order_ids, *(row.order_id for row in rows)})),
        session_hashes=tuple(sorted(visits)),
        email_hashes=tuple(email_hashes),
    )


def erase_rows(connection: Connection, person: Person, now: datetime) -> None:
    """Delete bodies and evidence of a person whose waiting deliveries have ended, and blank what points to them."""
    _forget_deliveries(connection, person)
    _erase_visits(connection, person)  # while records still name them
    for where in _about(person, bodies):
        connection.execute(delete(bodies).where(where))
    for where in _about(person, records):
        blank = {"sealed": None, "key_id": None, "customer_id": None, "session_hash": None}
        connection.execute(update(records).where(where).values(blank))
    _erase_orders(connection, person, now)
    if person.customer_id:
        own = (customers.c.store_id == person.store_id, customers.c.customer_id == person.customer_id)
        connection.execute(delete(customers).where(*own))
        of = (subscriptions.c.store_id == person.store_id, subscriptions.c.customer_id == person.customer_id)
        connection.execute(update(subscriptions).where(*of).values(customer_id=None))


def _forget_deliveries(connection: Connection, person: Person) -> None:
    """Take the person out of deliveries, and the bodies of their events with it."""
    for where in _about(person, deliveries):
        rows = connection.execute(select(deliveries.c.id, deliveries.c.body_id).where(where)).all()
        forget_people(connection, [row.id for row in rows])
        body_ids = sorted({row.body_id for row in rows if row.body_id is not None})
        for chunk in chunks_of(body_ids, _CHUNK):
            connection.execute(delete(bodies).where(bodies.c.id.in_(chunk)))


def _erase_orders(connection: Connection, person: Person, now: datetime) -> None:
    blank = {"customer_id": None, "session_hash": None, "email_hash": None, "copied": None, "erased_at": now}
    for chunk in chunks_of(person.order_ids, _CHUNK):
        own = (orders.c.store_id == person.store_id, orders.c.order_id.in_(chunk))
        connection.execute(update(orders).where(*own).values(blank))
        keys = (order_keys.c.store_id == person.store_id, order_keys.c.order_id.in_(chunk))
        connection.execute(delete(order_keys).where(*keys))


def _erase_visits(connection: Connection, person: Person) -> None:
    """Forget whose the sessions were, and what anybody said for orders that never came."""
    for chunk in chunks_of(person.session_hashes, _CHUNK):
        own = (sessions.c.store_id == person.store_id, sessions.c.session_hash.in_(chunk))
        connection.execute(update(sessions).where(*own).values(customer_id=None))
        said = select(records.c.id).where(records.c.store_id == person.store_id, records.c.session_hash.in_(chunk))
        connection.execute(delete(parked).where(parked.c.record_id.in_(said)))


def _about(person: Person, table: Table) -> list[ColumnElement[bool]]:
    """The rows of a table that are about a person, one index at a time."""
    columns: Any = table.c
    of_store = columns.store_id == person.store_id
    found = [and_(of_store, columns.order_id.in_(chunk)) for chunk in chunks_of(person.order_ids, _CHUNK)]
    if "session_hash" in columns:
        found += [and_(of_store, columns.session_hash.in_(chunk)) for chunk in chunks_of(person.session_hashes, _CHUNK)]
    if person.customer_id:
        found.append(and_(of_store, columns.customer_id == person.customer_id))
    return found

"""What a signal reaches: orders by key or session, what waits for its subjects, and parking for what is not there."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Final

from sqlalchemy import ColumnElement, Connection, insert, select

from gateway.model.delivery import DeliveryState
from gateway.storage.bulk import select_rows
from gateway.storage.lists import chunks_of
from gateway.storage.statements import upsert
from gateway.storage.tables import deliveries, facts, order_keys, orders, parked

_CHUNK: Final = 200
_CALLED_BACK: Final = "called_back"
_LAST_CALL_BACK: Final = select(facts.c.value).where(facts.c.name == _CALLED_BACK)


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """An open delivery, as far as deciding it anew asks."""

    id: int
    store_id: str
    destination_id: str
    stream: str
    kind: str
    topic: str
    state: DeliveryState
    order_id: str | None
    session_hash: str | None
    customer_id: str | None
    email_hash: str | None
    hold_until: datetime | None
    accepted_at: datetime
    policy_version: int


_COLUMNS: Final = tuple(deliveries.c[field.name] for field in fields(Waiting))


def orders_of_key(connection: Connection, store_id: str, key_hash: str) -> list[str]:
    """Return the orders behind the keyed hash of an order key or a checkout token."""
    where = (order_keys.c.store_id == store_id, order_keys.c.key_hash == key_hash)
    return list(connection.execute(select(order_keys.c.order_id).where(*where)).scalars())


def orders_of_session(connection: Connection, store_id: str, session_hash: str) -> list[str]:
    """Return the orders whose metadata name a session."""
    where = (orders.c.store_id == store_id, orders.c.session_hash == session_hash)
    return list(connection.execute(select(orders.c.order_id).where(*where).order_by(orders.c.order_id)).scalars())


def customers_of_session(connection: Connection, store_id: str, session_hash: str) -> list[str]:
    """Return the customers whose orders name a session."""
    where = (orders.c.store_id == store_id, orders.c.session_hash == session_hash, orders.c.customer_id.is_not(None))
    statement = select(orders.c.customer_id).distinct().where(*where)
    return sorted(connection.execute(statement).scalars())


def customers_of_orders(connection: Connection, store_id: str, order_ids: Sequence[str]) -> set[str]:
    """Return the customers who placed orders."""
    found: set[str] = set()
    for chunk in chunks_of(order_ids, _CHUNK):
        where = (orders.c.store_id == store_id, orders.c.order_id.in_(chunk), orders.c.customer_id.is_not(None))
        found |= set(connection.execute(select(orders.c.customer_id).where(*where)).scalars())
    return found


def orders_of_email(connection: Connection, store_id: str, email_hashes: Sequence[str]) -> list[str]:
    """Return the orders that were placed with an e-mail address, by its keyed hashes."""
    where = (orders.c.store_id == store_id, orders.c.email_hash.in_(email_hashes))
    return list(connection.execute(select(orders.c.order_id).where(*where)).scalars())


def open_orders_of_customer(connection: Connection, store_id: str, customer_id: str, now: datetime) -> list[str]:
    """Return the orders of a customer that still wait for an answer."""
    where = (orders.c.store_id == store_id, orders.c.customer_id == customer_id, orders.c.frozen_at > now)
    return list(connection.execute(select(orders.c.order_id).where(*where)).scalars())


def call_back(connection: Connection, now: datetime) -> None:
    """Have every delivery that was decided, and has not left yet, decided once more."""
    row = {"name": _CALLED_BACK, "value": secrets.token_hex(8), "updated_at": now}
    upsert(connection, facts, [row])


def last_call_back(connection: Connection) -> str:
    """Return what changes whenever deliveries are called back."""
    rows = select_rows(connection, _LAST_CALL_BACK, {})
    return str(rows[0]["value"]) if rows else ""


def park(connection: Connection, keys: Sequence[tuple[str, str]], record_id: int, expires_at: datetime) -> None:
    """Keep a signal for an order that is not there yet, under (store id, key hash)."""
    rows = [
        {"store_id": store_id, "key_hash": key_hash, "record_id": record_id, "expires_at": expires_at}
        for store_id, key_hash in keys
    ]
    if rows:
        connection.execute(insert(parked), rows)


def waiting_in_sessions(connection: Connection, store_id: str, session_hashes: Sequence[str]) -> list[Waiting]:
    """Return what waits in sessions, in intake order."""
    found: list[Waiting] = []
    for chunk in chunks_of(session_hashes, _CHUNK):
        streams = [f"session:{one}" for one in chunk]
        found += _open(connection, deliveries.c.store_id == store_id, deliveries.c.stream.in_(streams))
    return found


def waiting_of_customer(connection: Connection, store_id: str, customer_id: str) -> list[Waiting]:
    """Return what waits and names a customer: events, orders, the customer's own webhooks."""
    return _open(connection, deliveries.c.store_id == store_id, deliveries.c.customer_id == customer_id)


def waiting_of_email(connection: Connection, store_id: str, email_hashes: Sequence[str]) -> list[Waiting]:
    """Return what waits and is about an e-mail address, beside orders."""
    return _open(connection, deliveries.c.store_id == store_id, deliveries.c.email_hash.in_(email_hashes))


def waiting_of_orders(connection: Connection, store_id: str, order_ids: Sequence[str]) -> list[Waiting]:
    """Return what waits of orders."""
    found: list[Waiting] = []
    for chunk in chunks_of(order_ids, _CHUNK):
        found += _open(connection, deliveries.c.store_id == store_id, deliveries.c.order_id.in_(chunk))
    return found


def _open(connection: Connection, *where: ColumnElement[bool]) -> list[Waiting]:
    statement = select(*_COLUMNS).where(deliveries.c.finished_at.is_(None), *where).order_by(deliveries.c.id)
    return [
        Waiting(**{**row, "state": DeliveryState(row["state"])}) for row in connection.execute(statement).mappings()
    ]

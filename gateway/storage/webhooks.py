"""What a batch of webhooks writes: digests, bodies, orders and the keys by which they may be named."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from operator import itemgetter
from typing import Any, Final

from sqlalchemy import Connection, Insert, Select, Text, bindparam, delete, insert, select
from sqlalchemy.dialects import postgresql, sqlite

from gateway.model.consent import Channel, Evidence
from gateway.storage.bulk import insert_returning, insert_together, select_rows
from gateway.storage.consent import evidence_of
from gateway.storage.lists import rows_parameter, select_by_rows
from gateway.storage.statements import Row, insert_ignoring_of, is_among, upsert, upsert_of
from gateway.storage.tables import Instant, bodies, order_keys, orders, parked, records, webhooks

Key = tuple[str, str]  # store id and the id or hash

_KEEP: Final = ("seen_at",)
_ADD_BODIES: Final = insert(bodies).returning(bodies.c.id)


def insert_webhooks(connection: Connection, rows: Sequence[Row]) -> set[Key]:
    """Insert digests; return the keys of those that were not there before."""
    returned = insert_returning(connection, _insert_new(connection.dialect.name), rows)
    return set(map(tuple, returned))


def parked_signals(
    connection: Connection, keys: Sequence[Key], now: datetime
) -> dict[Key, list[tuple[Evidence, Channel]]]:
    """Return the signals that wait for an order under these key hashes, oldest first."""
    found: dict[Key, list[tuple[Evidence, Channel]]] = {}
    if not keys:
        return found
    waiting = {"keys": rows_parameter(sorted(set(keys))), "now": now}
    rows = select_rows(connection, _parked(connection.dialect.name), waiting)
    for row in sorted(rows, key=itemgetter("id")):
        one = (evidence_of(row), Channel(row["channel"]))
        found.setdefault((row["store_id"], row["key_hash"]), []).append(one)
    return found


def take_parked(connection: Connection, keys: Sequence[Key]) -> None:
    """Remove signals that have reached their order."""
    if keys:
        connection.execute(delete(parked).where(is_among((parked.c.store_id, parked.c.key_hash), keys)))


def put_orders(connection: Connection, rows: Sequence[Row]) -> None:
    """Write rows of the order table whole."""
    upsert(connection, orders, rows, keep=_KEEP)


def put_orders_and_bodies(
    connection: Connection, order_rows: Sequence[Row], keys: Mapping[Key, str | None], body_rows: Sequence[Row]
) -> list[int]:
    """Write orders whole, the key hashes by which browsers may name them, and sealed bodies; return the bodies' ids."""
    dialect = connection.dialect.name
    key_rows = [{"store_id": key[0], "key_hash": key[1], "order_id": keys[key]} for key in sorted(keys)]
    written: list[tuple[Insert, Sequence[Row]]] = [
        (insert_ignoring_of(dialect, order_keys), key_rows),
        (_ADD_BODIES, body_rows),
    ]
    if order_rows:
        written.insert(0, (upsert_of(dialect, orders, tuple(order_rows[0]), _KEEP), order_rows))
    return sorted(row[0] for row in insert_together(connection, written))  # numbers rise in order


def add_bodies(connection: Connection, rows: Sequence[Row]) -> list[int]:
    """Keep sealed bodies; return their ids in the same order."""
    return sorted(row[0] for row in insert_returning(connection, _ADD_BODIES, rows))  # numbers rise in order


@cache
def _parked(dialect: str) -> Select[Any]:
    waiting = select(parked.c.key_hash, records).join(records, records.c.id == parked.c.record_id)
    in_time = waiting.where(parked.c.expires_at > bindparam("now", type_=Instant))
    return select_by_rows(dialect, in_time, (parked.c.store_id, parked.c.key_hash), bindparam("keys", type_=Text))


@cache
def _insert_new(dialect: str) -> Insert:
    insert_any = postgresql.insert(webhooks) if dialect == "postgresql" else sqlite.insert(webhooks)
    insert_new = insert_any.on_conflict_do_nothing()
    return insert_new.returning(webhooks.c.store_id, webhooks.c.key)

"""What a batch of webhooks reads and writes: few statements, for each is a round trip to PostgreSQL."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from itertools import groupby
from operator import itemgetter
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Insert, Select, and_, bindparam, func, insert, literal_column, select

from gateway.model.consent import Channel, Evidence
from gateway.storage.bulk import Row, change_together, insert_returning, select_together
from gateway.storage.consent import ADD_RECORDS, evidence_of, orders_of, orders_wanted
from gateway.storage.driver import fetch
from gateway.storage.lists import rows_parameter, select_by_rows
from gateway.storage.queue import APPEND, Stream, busy_of, busy_wanted
from gateway.storage.sessions import evidence_of_visits, visits_wanted
from gateway.storage.statements import insert_ignoring_of, insert_of, upsert, upsert_of
from gateway.storage.tables import Instant, bodies, order_keys, orders, parked, records, webhooks

Key = tuple[str, str]  # store id and the id or hash

OrderKey = tuple[str, str, str]  # store id, key hash and order id

_KEY: Final = ("store_id", "key_hash", "order_id")
_KEEP: Final = ("seen_at",)
_PARKED: Final = itemgetter("id", "key_hash")
_ADD_BODIES: Final = insert(bodies).inline()  # under ids that were given out before
_NUMBER_BODIES: Final = insert(bodies).returning(bodies.c.id)
_LAST_IDS: Final = "SELECT name, seq FROM sqlite_sequence WHERE name IN ('bodies', 'records')"


class Ids(NamedTuple):
    """The ids under which a webhook's body and record are to be kept."""

    body: int
    record: int


class Parked(NamedTuple):
    """A signal that waits under a key; the orders that were known by that key have heard it."""

    record_id: int
    evidence: Evidence
    channel: Channel
    heard_by: frozenset[str]


@dataclass(frozen=True, slots=True)
class Before:
    """What was there before a batch: orders, parked signals oldest first, what sessions say, streams that are busy."""

    orders: dict[Key, Row] = field(default_factory=dict)
    parked: dict[Key, list[Parked]] = field(default_factory=dict)
    sessions: dict[Key, Evidence] = field(default_factory=dict)
    busy: frozenset[Stream] = frozenset()

    def parked_for(self, order: Key, key_hashes: Sequence[str]) -> list[Parked]:
        """Return what was said by an order's keys before it was known by them."""
        store_id, order_id = order
        found = (one for key_hash in key_hashes for one in self.parked.get((store_id, key_hash), ()))
        return [one for one in found if order_id not in one.heard_by]


def insert_webhooks(connection: Connection, rows: Sequence[Row]) -> dict[Key, Ids]:
    """Insert digests; return the keys of those that were not there before, with ids that are theirs to use."""
    inserted = insert_returning(connection, _insert_new(connection.dialect.name), rows)
    if connection.dialect.name == "postgresql":
        return {(store_id, key): Ids(*ids) for store_id, key, *ids in inserted}
    body, record = _last_ids(connection)
    return {key: Ids(body + at, record + at) for at, key in enumerate(map(tuple, inserted), start=1)}


def look_before(
    connection: Connection,
    *,
    order_keys: Collection[Key],
    key_hashes: Collection[Key],
    session_keys: Collection[Key],
    streams: Collection[Key],
    now: datetime,
) -> Before:
    """Read what a batch meets; signals are parked under key hashes, and streams are locked."""
    dialect = connection.dialect.name
    parked_there = {"keys": rows_parameter(sorted(set(key_hashes))), "now": now}
    found_orders, found_parked, found_sessions, found_busy = select_together(
        connection,
        [
            orders_wanted(dialect, order_keys),
            (_parked(dialect), parked_there) if key_hashes else None,
            visits_wanted(dialect, session_keys),
            busy_wanted(dialect, streams),
        ],
    )
    return Before(
        orders=orders_of(found_orders),
        parked=_parked_of(found_parked),
        sessions=evidence_of_visits(found_sessions),
        busy=frozenset(busy_of(found_busy)),
    )


def put_orders(connection: Connection, rows: Sequence[Row]) -> None:
    """Write rows of the order table whole."""
    upsert(connection, orders, rows, keep=_KEEP)


def write_batch(
    connection: Connection,
    *,
    order_rows: Sequence[Row],
    keys: Collection[OrderKey],
    records: Sequence[Row],
    bodies: Sequence[Row],
    deliveries: Sequence[Row],
) -> None:
    """Write orders whole, the key hashes by which browsers may name them, and what is new beside them."""
    dialect = connection.dialect.name
    written: list[tuple[Insert, Sequence[Row]]] = [
        (ADD_RECORDS, records),
        (insert_ignoring_of(dialect, order_keys), _key_rows(keys)),
        (_ADD_BODIES, bodies),
        (APPEND, deliveries),
    ]
    if order_rows:
        written.append((upsert_of(dialect, orders, tuple(order_rows[0]), _KEEP), order_rows))
    change_together(connection, written)


def add_bodies(connection: Connection, rows: Sequence[Row]) -> list[int]:
    """Keep sealed bodies; return their ids in the same order."""
    return sorted(row[0] for row in insert_returning(connection, _NUMBER_BODIES, rows))  # numbers rise in order


def _parked_of(rows: Sequence[Row]) -> dict[Key, list[Parked]]:
    found: dict[Key, list[Parked]] = {}
    for _, told in groupby(sorted(rows, key=_PARKED), key=_PARKED):
        each = list(told)
        heard_by = frozenset(row["known_order"] for row in each if row["known_order"] is not None)
        one = Parked(each[0]["id"], evidence_of(each[0]), Channel(each[0]["channel"]), heard_by)
        found.setdefault((each[0]["store_id"], each[0]["key_hash"]), []).append(one)
    return found


def _key_rows(keys: Collection[OrderKey]) -> list[Row]:
    return [dict(zip(_KEY, key, strict=True)) for key in sorted(keys)]


def _last_ids(connection: Connection) -> tuple[int, int]:
    """Return the last ids of bodies and records on SQLite, where nobody else is given any until this commits."""
    last = dict(fetch(connection, _LAST_IDS))
    return last.get(bodies.name, 0), last.get(records.name, 0)


@cache
def _parked(dialect: str) -> Select[Any]:
    told = [column for column in records.c if column.name != "sealed"]
    is_known = and_(order_keys.c.store_id == parked.c.store_id, order_keys.c.key_hash == parked.c.key_hash)
    waiting = select(parked.c.key_hash, order_keys.c.order_id.label("known_order"), *told)
    joined = waiting.join(records, records.c.id == parked.c.record_id).outerjoin(order_keys, is_known)
    in_time = joined.where(parked.c.expires_at > bindparam("now", type_=Instant))
    return select_by_rows(dialect, in_time, (parked.c.store_id, parked.c.key_hash))


@cache
def _insert_new(dialect: str) -> Insert:
    ids = [func.nextval(literal_column(f"'{table.name}_id_seq'")) for table in (bodies, records)]
    told = [webhooks.c.store_id, webhooks.c.key, *(ids if dialect == "postgresql" else ())]
    return insert_of(dialect, webhooks).on_conflict_do_nothing().returning(*told)

"""Streams: what one order or session has waiting for one destination, in intake order, with one claimable head."""

from collections.abc import Collection
from datetime import datetime
from functools import cache
from typing import Any, Final

import orjson
from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    Update,
    and_,
    any_,
    bindparam,
    case,
    func,
    literal,
    select,
    update,
)

from gateway.model.delivery import DeliveryState
from gateway.storage.bulk import execute_plan
from gateway.storage.database import announce_work
from gateway.storage.driver import fetch
from gateway.storage.lists import by_itself, ids_parameter, is_in_ids
from gateway.storage.tables import Instant, deliveries

# The order of the keys is the same for everybody, so that two transactions never wait for each other.
_LOCK: Final = (
    "SELECT pg_advisory_xact_lock(k) FROM (SELECT DISTINCT hashtextextended(s, 0) AS k"
    " FROM json_array_elements_text(CAST(%(names)s AS json)) AS s ORDER BY k OFFSET 0) AS keys"
)
_LOCK_OF: Final = (
    "SELECT pg_advisory_xact_lock(k) FROM (SELECT DISTINCT hashtextextended(store_id || '/' || stream, 0) AS k"
    " FROM deliveries WHERE id = ANY(CAST(%(ids)s AS bigint[])) ORDER BY k OFFSET 0) AS keys"
)


def lock_streams(connection: Connection, streams: Collection[tuple[str, str]]) -> None:
    """Let no other transaction touch these (store id, stream) until this one ends; once per transaction."""
    if streams and connection.dialect.name == "postgresql":
        names = [f"{store_id}/{stream}" for store_id, stream in streams]
        fetch(connection, _LOCK, {"names": orjson.dumps(names).decode()})


def lock_streams_of(connection: Connection, delivery_ids: Collection[int]) -> None:
    """Do the same for the streams of some deliveries."""
    if delivery_ids and connection.dialect.name == "postgresql":
        fetch(connection, _LOCK_OF, {"ids": list(delivery_ids)})


def promote(connection: Connection, delivery_ids: Collection[int], *, now: datetime) -> None:
    """Make the heads of the streams of these deliveries claimable, where nothing of the stream is claimable yet."""
    if not delivery_ids:
        return
    dialect = connection.dialect.name
    given = {"ids": ids_parameter(dialect, delivery_ids), "now": now}
    if execute_plan(connection, _promote(dialect), given):
        announce_work(connection)


def at_once_if_head(at: datetime) -> ColumnElement[datetime | None]:
    """`at` for the heads of streams, nothing for those behind them."""
    return case((deliveries.c.claimable_at.is_not(None), literal(at, Instant)))


_beside = deliveries.alias("beside")
_first = deliveries.alias("first")
_claimable = deliveries.alias("claimable")


def _head_beside() -> Any:
    return (
        select(func.min(_first.c.id))
        .where(
            _first.c.store_id == _beside.c.store_id,
            _first.c.stream == _beside.c.stream,
            _first.c.destination_id == _beside.c.destination_id,
            _first.c.finished_at.is_(None),
        )
        .scalar_subquery()
    )


def _claimable_beside(dialect: str) -> Select[Any]:
    return by_itself(
        dialect,
        select(_claimable.c.id).where(
            _claimable.c.store_id == deliveries.c.store_id,
            _claimable.c.stream == deliveries.c.stream,
            _claimable.c.destination_id == deliveries.c.destination_id,
            _claimable.c.finished_at.is_(None),
            _claimable.c.claimable_at.is_not(None),
        ),
    )


@cache
def _promote(dialect: str) -> Update:
    """Claimable at the end of its hold, or at once."""
    now = bindparam("now", type_=Instant)
    is_held = and_(deliveries.c.state == DeliveryState.HELD, deliveries.c.hold_until > now)
    heads = select(_head_beside()).where(is_in_ids(dialect, _beside.c.id))
    is_head: ColumnElement[bool] = deliveries.c.id.in_(heads)
    if dialect == "postgresql":  # which would rather look at every delivery for whether it is one
        is_head = deliveries.c.id == any_(func.array(heads.scalar_subquery()))
    return (
        update(deliveries)
        .where(
            is_head,
            deliveries.c.claimable_at.is_(None),
            ~_claimable_beside(dialect).exists(),
        )
        .values(claimable_at=case((is_held, deliveries.c.hold_until), else_=now))
    )

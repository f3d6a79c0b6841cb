"""The delivery list, one delivery with its attempts and what came in, and the choice of many for an action."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, func, select, union_all

from gateway.model.delivery import DeliveryState
from gateway.storage.reading.keyset import PAGE_ROWS, Columns, Cursor, Page, read_id
from gateway.storage.tables import attempts, bodies, deliveries, orders

RANGE_ROWS = 1000  # how many deliveries one confirmed action takes at most


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryFilter:
    """How the delivery list is narrowed; `destinations` are all that the store sends to, or has sent to."""

    destinations: Sequence[str] = ()
    destination_id: str = ""
    state: DeliveryState | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryRow:
    """One delivery, as lists and timelines show it."""

    delivery_id: int
    store_id: str
    destination_id: str
    kind: str
    message_id: str
    topic: str
    topic_group: str
    order_id: str | None
    session_hash: str | None
    body_id: int | None
    state: DeliveryState
    hold_until: datetime | None
    claimable_at: datetime | None
    accepted_at: datetime
    last_attempt_at: datetime | None
    finished_at: datetime | None
    attempts: int
    policy_version: int
    decided_version: int | None
    action: str | None
    reason: str | None
    word: str | None
    status_code: int | None
    sent_sha256: str | None
    detail: Mapping[str, Any] = field(default_factory=dict)
    number: str = ""

    @property
    def removed(self) -> list[str]:
        """The paths that were stripped: names, never values."""
        return list(self.detail.get("removed") or ())

    @property
    def is_open(self) -> bool:
        """Whether it has not come to an end."""
        return self.finished_at is None

    @property
    def may_be_retried(self) -> bool:
        """Whether an operator may have it decided and sent again."""
        return self.state in RETRIABLE

    @property
    def may_be_cancelled(self) -> bool:
        """Whether it still waits."""
        return self.state in CANCELLABLE


RETRIABLE = (DeliveryState.FAILED, DeliveryState.LEAK, DeliveryState.DUE)
CANCELLABLE = (DeliveryState.HELD, DeliveryState.DUE)


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptRow:
    """One attempt and what it came to."""

    delivery_id: int
    number: int
    at: datetime
    kind: str
    word: str
    status_code: int | None
    took_ms: int | None
    next_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedBody:
    """Bytes as they came in, still sealed."""

    key_id: str
    sealed: bytes = field(repr=False)


def list_deliveries(connection: Connection, store_id: str, wanted: DeliveryFilter, cursor: Cursor) -> Page[DeliveryRow]:
    """Return a page of a store's deliveries, the newest first."""
    is_newer, bound = cursor.is_newer, read_id(cursor.key)
    ids = _ids(store_id, wanted, bound, is_newer=is_newer and bound is not None)
    joined = _joined().where(deliveries.c.id.in_(ids)).order_by(deliveries.c.id.desc())
    rows = [delivery_row(row) for row in connection.execute(joined).mappings()]
    return _page(rows, bound, is_newer=is_newer and bound is not None)


def former_destinations(connection: Connection, store_id: str, known: Collection[str]) -> list[str]:
    """Return where deliveries of a store went that is not among `known`: the settings no longer name it."""
    found, after = [], ""
    following = select(func.min(deliveries.c.destination_id))
    while (one := connection.execute(following.where(deliveries.c.destination_id > after)).scalar()) is not None:
        if one not in known and _has_any(connection, store_id, one):
            found.append(one)
        after = one
    return found


def read_delivery(connection: Connection, delivery_id: int) -> DeliveryRow | None:
    """Return one delivery."""
    row = connection.execute(_joined().where(deliveries.c.id == delivery_id)).mappings().first()
    return delivery_row(row) if row else None


def read_deliveries(connection: Connection, delivery_ids: Sequence[int]) -> list[DeliveryRow]:
    """Return these deliveries, the newest first."""
    query = _joined().where(deliveries.c.id.in_(delivery_ids)).order_by(deliveries.c.id.desc())
    return [delivery_row(row) for row in connection.execute(query).mappings()]


def deliveries_between(
    connection: Connection,
    store_id: str,
    destination_id: str,
    state: DeliveryState,
    span: tuple[datetime, datetime],
) -> list[int]:
    """Return the oldest deliveries of a destination in one state that were taken in a span, at most 1,000."""
    query = (
        select(deliveries.c.id)
        .where(
            deliveries.c.destination_id == destination_id,
            deliveries.c.state == state.value,
            deliveries.c.store_id == store_id,
            deliveries.c.accepted_at >= span[0],
            deliveries.c.accepted_at < span[1],
        )
        .order_by(deliveries.c.id)
        .limit(RANGE_ROWS)
    )
    return list(connection.execute(query).scalars())


def read_attempts(connection: Connection, delivery_ids: Sequence[int]) -> list[AttemptRow]:
    """Return the attempts of these deliveries in their order."""
    query = select(attempts).where(attempts.c.delivery_id.in_(delivery_ids))
    rows = connection.execute(query.order_by(attempts.c.delivery_id, attempts.c.number))
    return [AttemptRow(**row) for row in rows.mappings()]


def read_sealed_body(connection: Connection, body_id: int) -> SealedBody | None:
    """Return what came in, None once it is gone."""
    row = connection.execute(select(bodies.c.key_id, bodies.c.sealed).where(bodies.c.id == body_id)).first()
    return SealedBody(key_id=row.key_id, sealed=row.sealed) if row else None


def _has_any(connection: Connection, store_id: str, destination_id: str) -> bool:
    is_any = deliveries.c.state.in_(DeliveryState)  # which the index asks for
    query = select(deliveries.c.id).where(deliveries.c.destination_id == destination_id, is_any)
    return connection.execute(query.where(deliveries.c.store_id == store_id).limit(1)).first() is not None


def _joined() -> Select[Any]:
    same_order = (orders.c.store_id == deliveries.c.store_id) & (orders.c.order_id == deliveries.c.order_id)
    number = func.coalesce(orders.c.number, "").label("number")
    return select(deliveries, number).select_from(deliveries.outerjoin(orders, same_order))


def _ids(store_id: str, wanted: DeliveryFilter, bound: int | None, *, is_newer: bool) -> Select[Any]:
    """Choose the ids of a page: one short walk along an index per destination and state, merged."""
    destinations = [wanted.destination_id] if wanted.destination_id else wanted.destinations
    states = [wanted.state] if wanted.state else list(DeliveryState)
    order = deliveries.c.id.asc() if is_newer else deliveries.c.id.desc()
    walk = select(deliveries.c.id).where(deliveries.c.store_id == store_id).order_by(order).limit(PAGE_ROWS + 1)
    if bound is not None:
        walk = walk.where(deliveries.c.id > bound if is_newer else deliveries.c.id < bound)
    if not (wanted.destination_id or wanted.state):
        return walk
    if not destinations:
        return select(deliveries.c.id).where(deliveries.c.id < 0)
    walks = [
        select(walk.where(deliveries.c.destination_id == one, deliveries.c.state == state.value).subquery())
        for one in destinations
        for state in states
    ]
    merged = union_all(*walks).subquery()
    end = merged.c.id.asc() if is_newer else merged.c.id.desc()
    return select(merged.c.id).order_by(end).limit(PAGE_ROWS + 1)


def _page(rows: list[DeliveryRow], bound: int | None, *, is_newer: bool) -> Page[DeliveryRow]:
    has_more = len(rows) > PAGE_ROWS
    rows = rows[-PAGE_ROWS:] if is_newer else rows[:PAGE_ROWS]
    ends = (rows[0].delivery_id, rows[-1].delivery_id) if rows else (bound, bound)
    has_older = is_newer or has_more
    has_newer = (is_newer and has_more) or (not is_newer and bound is not None)
    return Page(
        rows=rows,
        older=Cursor(str(ends[1])) if has_older else None,
        newer=Cursor(str(ends[0]), is_newer=True) if has_newer else None,
    )


def delivery_row(row: Columns) -> DeliveryRow:
    """Build one row from the columns of `deliveries`, and the order's number where it was joined."""
    names = DeliveryRow.__dataclass_fields__.keys() - {"delivery_id", "state", "detail", "number"}
    return DeliveryRow(
        delivery_id=row["id"],
        state=DeliveryState(row["state"]),
        detail=row["detail"] or {},
        number=row.get("number", ""),
        **{name: row[name] for name in names},
    )

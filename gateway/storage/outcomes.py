"""What became of claimed deliveries, written in batches; the next of each stream is let go in the same transaction."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from functools import cache
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Delete, Select, delete, exists, func, insert, literal, or_, select, update

from gateway.model.delivery import OPEN_STATES, DeliveryState, OutcomeKind
from gateway.storage.bulk import Row, change_together, execute_plan, select_rows
from gateway.storage.database import announce_ended
from gateway.storage.lists import by_itself, chunks_of, ids_parameter, is_in_ids
from gateway.storage.pausing import count_outcomes
from gateway.storage.signals import call_back
from gateway.storage.streams import lock_streams_of, promote
from gateway.storage.tables import Instant, attempts, bodies, deliveries, destinations

_CHUNK: Final = 500
_LOST: Final = "lease_expired"  # the word of an attempt whose worker was not heard of in time


class Attempt(NamedTuple):
    """One try over the network; `word` names its outcome."""

    number: int
    at: datetime
    kind: OutcomeKind
    word: str
    status_code: int | None = None
    took_ms: int | None = None


class Settled(NamedTuple):
    """What became of one claimed delivery.

    `state` is DUE with `next_at` for another attempt, HELD with `hold_until`, or a final state. `drop_body` deletes
    the body once nothing open needs it. `is_gone` pauses the destination.
    """

    delivery_id: int
    claim: str
    state: DeliveryState
    next_at: datetime | None = None
    hold_until: datetime | None = None
    action: str | None = None
    reason: str | None = None
    detail: dict[str, Any] | None = None
    decided_version: int | None = None
    attempt: Attempt | None = None
    sent_sha256: str | None = None
    drop_body: bool = False
    is_gone: bool = False


def settle(connection: Connection, settled: Sequence[Settled], *, now: datetime) -> list[int]:
    """Write what became of deliveries and return the ids of those that it changed.

    That are those whose lease still held, and what arrived under one that did not: whoever has it has it, also where
    the delivery was cancelled meanwhile.
    """
    lock_streams_of(connection, [one.delivery_id for one in settled])
    rows = _claimed_rows(connection, settled)
    held = [told for one in settled if (told := _heard(one, rows.get(one.delivery_id)))]
    kept = [_or_ended(one, rows[one.delivery_id]) for one in held]
    if not kept:
        return []
    if any(rows[one.delivery_id]["claim"] not in (None, one.claim) for one in kept):
        call_back(connection, now)  # whoever has taken it over need not send it again, behind what follows
    stopped = [rows[one.delivery_id] for one, told in zip(kept, held, strict=True) if one is not told]
    _announce_stopped(connection, stopped)
    changed = [_values(one, rows[one.delivery_id], now) for one in kept]
    change_together(connection, [(_INSERT_ATTEMPTS, _attempt_rows(kept))], updates=[(deliveries, changed)])
    finished = [one.delivery_id for one in kept if one.state not in OPEN_STATES]
    if any(rows[delivery_id]["is_followed"] for delivery_id in finished):
        promote(connection, finished, now=now)
    drop_unneeded_bodies(connection, [rows[one.delivery_id]["body_id"] for one in kept if one.drop_body])
    tried = [(rows[one.delivery_id]["destination_id"], one.attempt.kind, one.is_gone) for one in kept if one.attempt]
    is_well = all(kind is OutcomeKind.DELIVERED and not is_gone for _, kind, is_gone in tried)
    if not is_well or any(rows[one.delivery_id]["is_troubled"] for one in kept):
        count_outcomes(connection, tried, now=now)
    return [one.delivery_id for one in kept]


def drop_unneeded_bodies(connection: Connection, body_ids: Iterable[int | None]) -> None:
    """Delete bodies that no open delivery needs."""
    ids = sorted({body_id for body_id in body_ids if body_id is not None})
    if ids:
        dialect = connection.dialect.name
        execute_plan(connection, _drop_unneeded(dialect), {"ids": ids_parameter(dialect, ids)})


def forget_people(connection: Connection, delivery_ids: Sequence[int]) -> None:
    """Take the person out of deliveries whose bodies went with them."""
    for chunk in chunks_of(delivery_ids, _CHUNK):
        connection.execute(
            update(deliveries).where(deliveries.c.id.in_(chunk)).values(customer_id=None, email_hash=None)
        )


def end_marked(connection: Connection, rows: Sequence[Row], *, now: datetime) -> None:
    """End deliveries that were to end while they were being sent, and whose lease ran out."""
    count_lost_attempts(connection, [row for row in rows if row["state"] == DeliveryState.SENDING], now=now)
    for row in rows:
        values = {"state": row["ending"]["state"], "reason": row["ending"]["reason"], "finished_at": now}
        cleared = {"claim": None, "claimable_at": None, "hold_until": None, "ending": None}
        connection.execute(update(deliveries).where(deliveries.c.id == row["id"]).values(**values, **cleared))
    _announce_stopped(connection, rows)
    promote(connection, [row["id"] for row in rows], now=now)
    dropped = [row for row in rows if row["ending"]["drop_body"]]
    drop_unneeded_bodies(connection, [row["body_id"] for row in dropped])
    forget_people(connection, [row["id"] for row in dropped])


def count_lost_attempts(connection: Connection, rows: Sequence[Row], *, now: datetime) -> None:
    """Count the attempts of workers that were never heard of again."""
    if not rows:
        return
    connection.execute(
        update(deliveries)
        .where(deliveries.c.id.in_([row["id"] for row in rows]))
        .values(
            attempts=deliveries.c.attempts + 1,
            word=_LOST,
            first_attempt_at=func.coalesce(deliveries.c.first_attempt_at, literal(now, Instant)),
            last_attempt_at=now,
        )
    )
    lost = {"at": now, "kind": OutcomeKind.RETRY, "word": _LOST}
    connection.execute(
        insert(attempts), [lost | {"delivery_id": row["id"], "number": row["attempts"] + 1} for row in rows]
    )


#: What settling asks of a delivery; the rest of the row is not read.
_READ: Final = (
    "id",
    "store_id",
    "destination_id",
    "body_id",
    "customer_id",
    "state",
    "claim",
    "ending",
    "attempts",
    "first_attempt_at",
    "last_attempt_at",
    "word",
    "status_code",
    "sent_sha256",
)
_INSERT_ATTEMPTS: Final = insert(attempts).inline()
_behind = deliveries.alias("behind")
#: Whether anything waits behind it; with the stream locked nothing comes in between, so there is nobody to let go.
_IS_FOLLOWED: Final = (
    exists()
    .where(
        _behind.c.store_id == deliveries.c.store_id,
        _behind.c.stream == deliveries.c.stream,
        _behind.c.destination_id == deliveries.c.destination_id,
        _behind.c.finished_at.is_(None),
        _behind.c.id != deliveries.c.id,
    )
    .label("is_followed")
)
#: Whether its destination is paused or has failed of late: to one that has not, a success changes nothing.
_IS_TROUBLED: Final = (
    exists()
    .where(
        destinations.c.destination_id == deliveries.c.destination_id,
        or_(destinations.c.failures != 0, destinations.c.paused_at.is_not(None)),
    )
    .label("is_troubled")
)


def _claimed_rows(connection: Connection, settled: Sequence[Settled]) -> dict[int, Row]:
    dialect = connection.dialect.name
    ids = ids_parameter(dialect, [one.delivery_id for one in settled])
    return {row["id"]: row for row in select_rows(connection, _select_claimed(dialect), {"ids": ids})}


@cache
def _select_claimed(dialect: str) -> Select[Any]:
    columns = (deliveries.c[name] for name in _READ)
    statement = select(*columns, _IS_FOLLOWED, _IS_TROUBLED).where(is_in_ids(dialect, deliveries.c.id))
    return statement.order_by(deliveries.c.id).with_for_update()


@cache
def _drop_unneeded(dialect: str) -> Delete:
    needing = select(deliveries.c.id).where(deliveries.c.body_id == bodies.c.id, deliveries.c.finished_at.is_(None))
    return delete(bodies).where(is_in_ids(dialect, bodies.c.id), ~by_itself(dialect, needing).exists())


def _announce_stopped(connection: Connection, rows: Sequence[Row]) -> None:
    """Tell of deliveries that end as they were marked while they were being sent."""
    announce_ended(connection, [(row["store_id"], row["destination_id"], row["ending"]["state"]) for row in rows])


def _heard(one: Settled, row: Row | None) -> Settled | None:
    """Return what counts of an outcome: of a lost lease that the receiver has it, which needs no further attempt."""
    if row is None or (row["state"] not in OPEN_STATES and row["word"] != _LOST):
        return None
    if row["state"] == DeliveryState.SENDING and row["claim"] == one.claim:
        return one
    if one.state is not DeliveryState.DELIVERED or one.attempt is None:
        return None
    return one._replace(attempt=one.attempt._replace(number=row["attempts"] + 1))  # this one was counted as lost


def _or_ended(one: Settled, row: Row) -> Settled:
    ending = row["ending"]
    if ending is None or one.state not in OPEN_STATES:
        return one
    return one._replace(
        state=DeliveryState(ending["state"]),
        reason=ending["reason"],
        next_at=None,
        hold_until=None,
        drop_body=one.drop_body or ending["drop_body"],
    )


def _values(one: Settled, row: Row, now: datetime) -> Row:
    is_open = one.state in OPEN_STATES
    attempt = one.attempt
    return {
        "id": one.delivery_id,
        "claim": None,
        "ending": None,
        "state": one.state.value,
        "claimable_at": (one.hold_until or one.next_at or now) if is_open else None,
        "hold_until": one.hold_until,
        "customer_id": None if one.drop_body and not is_open else row["customer_id"],
        "finished_at": None if is_open else now,
        "action": one.action,
        "reason": one.reason,
        "detail": one.detail,
        "decided_version": one.decided_version,
        "attempts": attempt.number if attempt else row["attempts"],
        "first_attempt_at": row["first_attempt_at"] or (attempt.at if attempt else None),
        "last_attempt_at": attempt.at if attempt else row["last_attempt_at"],
        "word": attempt.word if attempt else row["word"],
        "status_code": attempt.status_code if attempt else row["status_code"],
        "sent_sha256": one.sent_sha256 or row["sent_sha256"],
    }


def _attempt_rows(settled: Collection[Settled]) -> list[Row]:
    return [
        {
            "delivery_id": one.delivery_id,
            "number": one.attempt.number,
            "at": one.attempt.at,
            "kind": one.attempt.kind.value,
            "word": one.attempt.word,
            "status_code": one.attempt.status_code,
            "took_ms": one.attempt.took_ms,
            "next_at": one.next_at,
        }
        for one in settled
        if one.attempt
    ]

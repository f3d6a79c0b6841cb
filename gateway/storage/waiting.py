"""What waits can be held longer, ended or tried at once; when too much of it waits, no more is taken in."""

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, Integer, bindparam, exists, or_, select, update

from gateway.model.delivery import DeliveryState
from gateway.storage.bulk import select_rows
from gateway.storage.database import Database, announce_ended, announce_work
from gateway.storage.lists import chunks_of
from gateway.storage.outcomes import drop_unneeded_bodies, forget_people
from gateway.storage.signals import call_back
from gateway.storage.streams import lock_streams_of, promote
from gateway.storage.tables import Instant, deliveries, destinations

STOPPED: Final = (DeliveryState.FAILED, DeliveryState.LEAK)
MOST_DUE: Final = 5_000  # deliveries of one destination, and
MOST_DELAY: Final = timedelta(minutes=15)
OVERLOAD_SECONDS: Final = 1.0
_CHUNK: Final = 500
_WAITING: Final = (DeliveryState.HELD, DeliveryState.DUE)


def open_in_stream(connection: Connection, store_id: str, stream: str) -> list[int]:
    """Return the ids of a stream's open deliveries."""
    is_of_stream = (deliveries.c.store_id == store_id, deliveries.c.stream == stream)
    statement = select(deliveries.c.id).where(deliveries.c.finished_at.is_(None), *is_of_stream)
    return list(connection.execute(statement).scalars())


def cancel(
    connection: Connection,
    delivery_ids: Collection[int],
    *,
    state: DeliveryState,
    reason: str,
    drop_bodies: bool,
    now: datetime,
) -> list[int]:
    """End what waits, as CANCELLED, SUPPRESSED or EXPIRED, and return the ids that ended.

    What was decided and has not left is called back; an attempt under way cannot be, and ends so unless it arrives.
    """
    is_open = (deliveries.c.id.in_(delivery_ids), deliveries.c.finished_at.is_(None))
    ids = connection.execute(select(deliveries.c.id).where(*is_open)).scalars()
    ended: list[int] = []
    for chunk in chunks_of(sorted(ids), _CHUNK):
        ended += _end(connection, chunk, state=state, reason=reason, drop=drop_bodies, now=now)
    return ended


def is_to_end(connection: Connection, delivery_id: int, claim: str) -> bool:
    """Whether a delivery that is being sent under this claim was ended or taken over meanwhile."""
    is_over = or_(deliveries.c.ending.is_not(None), deliveries.c.claim.is_distinct_from(claim))
    return (
        connection.execute(select(deliveries.c.id).where(deliveries.c.id == delivery_id, is_over)).first() is not None
    )


def retry_now(
    connection: Connection,
    delivery_ids: Collection[int],
    *,
    now: datetime,
    ended_as: Collection[DeliveryState] = STOPPED,
) -> int:
    """Have deliveries tried at once, also those that `ended_as` one of these; return how many that are."""
    changed = 0
    for chunk in chunks_of(sorted(delivery_ids), _CHUNK):
        lock_streams_of(connection, chunk)
        changed += _reopen(connection, chunk, ended_as) + _hurry(connection, chunk, now=now)
        promote(connection, chunk, now=now)
    announce_work(connection)
    return changed


def is_overloaded(database: Database, *, as_of_seconds: float = OVERLOAD_SECONDS) -> bool:
    """Whether more comes in than can be delivered: thousands have been due for long at a destination that takes them.

    A destination that is paused or failing does not count, nor one to which nothing is being sent: refusing orders
    would not help there, and they are safe here. Looks once a second, or after `as_of_seconds`; costs nothing in
    between.
    """
    return database.recall(_has_piled_up, for_seconds=as_of_seconds)


def _has_piled_up(connection: Connection, now: datetime) -> bool:
    return any(_is_behind(connection, one, now) for one in _destination_ids(connection))


def _destination_ids(connection: Connection) -> Iterator[str]:
    found = select_rows(connection, _NEXT_DESTINATION, {"after": ""})
    while found:
        after = found[0]["destination_id"]
        yield after
        found = select_rows(connection, _NEXT_DESTINATION, {"after": after})


def _is_behind(connection: Connection, destination_id: str, now: datetime) -> bool:
    given = {"destination_id": destination_id, "by": now - MOST_DELAY, "others": MOST_DUE - 1}
    return bool(select_rows(connection, _BEHIND, given))


_NEXT_DESTINATION: Final = (
    select(deliveries.c.destination_id)
    .where(deliveries.c.claimable_at.is_not(None), deliveries.c.destination_id > bindparam("after"))
    .order_by(deliveries.c.destination_id)
    .limit(1)
)
_other = deliveries.alias("other")
#: A delivery that is due for long, behind many that are as well, at a destination that takes them and is in no trouble.
_BEHIND: Final = (
    select(deliveries.c.id)
    .where(
        deliveries.c.destination_id == bindparam("destination_id"),
        deliveries.c.claimable_at <= bindparam("by", type_=Instant),
        exists().where(
            _other.c.destination_id == bindparam("destination_id"), _other.c.state == DeliveryState.SENDING.value
        ),
        ~exists().where(
            destinations.c.destination_id == bindparam("destination_id"),
            or_(destinations.c.paused_at.is_not(None), destinations.c.failing_since.is_not(None)),
        ),
    )
    .order_by(deliveries.c.claimable_at)
    .offset(bindparam("others", type_=Integer))
    .limit(1)
)


def _end(
    connection: Connection, ids: Sequence[int], *, state: DeliveryState, reason: str, drop: bool, now: datetime
) -> list[int]:
    lock_streams_of(connection, ids)
    cleared = {"claimable_at": None, "hold_until": None, "claim": None}
    rows = connection.execute(
        update(deliveries)
        .where(deliveries.c.id.in_(ids), deliveries.c.state.in_(_WAITING))
        .values(state=state, reason=reason, finished_at=now, **cleared)
        .returning(deliveries.c.id, deliveries.c.body_id, deliveries.c.store_id, deliveries.c.destination_id)
    ).all()
    announce_ended(connection, [(row.store_id, row.destination_id, state.value) for row in rows])
    sending = connection.execute(
        update(deliveries)
        .where(deliveries.c.id.in_(ids), deliveries.c.state == DeliveryState.SENDING)
        .values(ending={"state": state, "reason": reason, "drop_body": drop})
    )
    if sending.rowcount:
        call_back(connection, now)
    ended = [row.id for row in rows]
    promote(connection, ended, now=now)
    if drop:
        drop_unneeded_bodies(connection, [row.body_id for row in rows])
        forget_people(connection, ended)
    return ended


def _reopen(connection: Connection, ids: Sequence[int], ended_as: Collection[DeliveryState]) -> int:
    reopened = {"state": DeliveryState.DUE, "finished_at": None, "first_attempt_at": None}
    statement = update(deliveries).where(deliveries.c.id.in_(ids), deliveries.c.state.in_(ended_as)).values(reopened)
    return connection.execute(statement).rowcount


def _hurry(connection: Connection, ids: Sequence[int], *, now: datetime) -> int:
    is_waiting = (deliveries.c.state == DeliveryState.DUE, deliveries.c.claimable_at > now)
    statement = update(deliveries).where(deliveries.c.id.in_(ids), *is_waiting).values(claimable_at=now)
    return connection.execute(statement).rowcount

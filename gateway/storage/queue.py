"""The queue of deliveries: intake appends, workers claim heads under a lease. Called inside a write job."""

import secrets
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache
from operator import itemgetter
from typing import Any, Final, NamedTuple

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Integer,
    Select,
    Update,
    bindparam,
    case,
    insert,
    select,
    tuple_,
    type_coerce,
    update,
)

from gateway.model.delivery import DeliveryState
from gateway.storage.bulk import Row, Wanted, execute_plan, execute_rows, select_rows, select_together
from gateway.storage.database import announce_work
from gateway.storage.lists import chunks_of, ids_parameter, is_in_ids, rows_parameter, select_by_rows
from gateway.storage.outcomes import count_lost_attempts, end_marked
from gateway.storage.pausing import take_probe
from gateway.storage.streams import at_once_if_head, lock_streams
from gateway.storage.tables import deliveries, destinations, orders


class NewDelivery(NamedTuple):
    """One event for one destination, as intake knows it; `state` is HELD (until `hold_until`) or DUE."""

    store_id: str
    destination_id: str
    stream: str
    kind: str
    message_id: str
    topic: str
    topic_group: str
    state: DeliveryState
    order_id: str | None = None
    session_hash: str | None = None
    customer_id: str | None = None
    event_id: str | None = None
    email_hash: str | None = None
    body_id: int | None = None
    hold_until: datetime | None = None
    policy_version: int = 0
    trace: str | None = None


class Claimed(NamedTuple):
    """A delivery under a lease; `state` is the one before the claim, `claim` the token that settles it.

    From `leased_until` on another worker may have it.
    """

    id: int
    store_id: str
    destination_id: str
    stream: str
    kind: str
    message_id: str
    topic: str
    topic_group: str
    state: DeliveryState
    order_id: str | None
    session_hash: str | None
    customer_id: str | None
    event_id: str | None
    email_hash: str | None
    body_id: int | None
    hold_until: datetime | None
    policy_version: int
    trace: str | None
    attempts: int
    accepted_at: datetime
    first_attempt_at: datetime | None
    claim: str
    leased_until: datetime


APPEND: Final = insert(deliveries).inline()
Stream = tuple[str, str, str]  # store id, stream, destination id
_CHUNK: Final = 200
_LEASE: Final = {"claim", "leased_until"}
_TAKEN: Final = tuple(deliveries.c[name] for name in Claimed._fields if name not in _LEASE)


def enqueue(connection: Connection, new: Sequence[NewDelivery], *, now: datetime) -> None:
    """Append deliveries to their streams; only the head of a stream may be claimed. Once per transaction."""
    if not new:
        return
    streams = {(one.store_id, one.stream) for one in new}
    lock_streams(connection, streams)
    [found] = select_together(connection, [busy_wanted(connection.dialect.name, streams)])
    execute_rows(connection, APPEND, delivery_rows(connection, new, busy_of(found), now=now))


def busy_wanted(dialect: str, streams: Collection[tuple[str, str]]) -> Wanted:
    """Return what asks which of these streams hold deliveries that are open; they are locked."""
    return (_busy(dialect), {"keys": rows_parameter(sorted(streams))}) if streams else None


def busy_of(rows: Sequence[Row]) -> set[Stream]:
    """Read the answer to `busy_wanted`."""
    return {(row["store_id"], row["stream"], row["destination_id"]) for row in rows}


def delivery_rows(
    connection: Connection, new: Sequence[NewDelivery], busy: Collection[Stream], *, now: datetime
) -> list[Row]:
    """Return rows that APPEND adds to streams of which `busy` hold something open; rings if any are due."""
    taken, rows = set(busy), []
    for one in new:
        key = (one.store_id, one.stream, one.destination_id)
        claimable_at = None if key in taken else (one.hold_until or now)
        taken.add(key)
        rows.append(one._asdict() | {"accepted_at": now, "claimable_at": claimable_at})
    if any(row["claimable_at"] is not None and row["claimable_at"] <= now for row in rows):
        announce_work(connection)
    return rows


def claim(
    connection: Connection, *, worker: str, limits: Mapping[str, int], lease: timedelta, now: datetime
) -> list[Claimed]:
    """Take heads that are due, at most `limits` of each destination, the longest waiting first.

    A paused destination gives nothing, or one delivery when it is time to try it again. A lease that ran out is taken
    over; the attempt that was under way counts.
    """
    allowed, stood_still = _without_paused(connection, limits, lease=lease, now=now)
    rows = [row for destination_id, limit in allowed.items() for row in _due(connection, destination_id, limit, now)]
    taken, stopped = [row for row in rows if row["ending"] is None], [row for row in rows if row["ending"]]
    end_marked(connection, stopped, now=now)
    if not taken:
        return []
    token, until = f"{worker}:{secrets.token_hex(8)}", now + lease
    dialect = connection.dialect.name
    ids = ids_parameter(dialect, [row["id"] for row in taken])
    execute_plan(connection, _take(dialect), {"ids": ids, "token": token, "until": until})
    count_lost_attempts(connection, [row for row in taken if row["state"] == DeliveryState.SENDING], now=now)
    under = {"claim": token, "leased_until": until}
    return [_claimed(row, under, stood_still.get(row["destination_id"], timedelta()), now) for row in taken]


def give_back(connection: Connection, claimed: Sequence[Claimed], *, now: datetime) -> None:
    """Undo claims of which nothing was started, so that anybody may take them at once."""
    returned = {
        "state": case((deliveries.c.hold_until.is_not(None), DeliveryState.HELD), else_=DeliveryState.DUE),
        "claim": None,
        "claimable_at": now,
    }
    for token, ids in _by_claim(claimed).items():
        connection.execute(
            update(deliveries).where(deliveries.c.id.in_(ids), deliveries.c.claim == token).values(returned)
        )
    announce_work(connection)


def end_leases(connection: Connection, *, now: datetime) -> int:
    """Let everything under a lease be taken over at once: whoever held it is gone. Returns how many that are."""
    under_lease = (deliveries.c.claimable_at > now, deliveries.c.state == DeliveryState.SENDING)
    return connection.execute(update(deliveries).where(*under_lease).values(claimable_at=now)).rowcount


def release_order(connection: Connection, *, store_id: str, order_id: str, now: datetime) -> int:
    """Let what is held for an order go at once, in order; return how many deliveries that are."""
    is_of_order = (deliveries.c.store_id == store_id, deliveries.c.order_id == order_id)
    return _release(connection, deliveries.c.finished_at.is_(None), *is_of_order, now=now)


def release(connection: Connection, delivery_ids: Sequence[int], *, now: datetime) -> None:
    """Let those of these deliveries that are held go at once, in order."""
    for chunk in chunks_of(delivery_ids, _CHUNK):
        _release(connection, deliveries.c.id.in_(chunk), now=now)


def pull_forward(connection: Connection, *, by: timedelta, now: datetime) -> int:
    """Have everything that is to happen later happen `by` sooner, holds too: the clock was set back."""
    sooner = by // timedelta(microseconds=1)
    moved = _move(connection, deliveries.c.claimable_at, sooner, now)
    _move(connection, deliveries.c.hold_until, sooner, now)
    _move(connection, orders.c.frozen_at, sooner, now, _awaited())
    return moved


def shorten_waits(connection: Connection, *, longest: timedelta, now: datetime) -> int:
    """Let nothing wait for longer than that, if what was taken in last is from the future: the clock was set back.

    For the start, where nobody knows by how much. Returns how many deliveries may go sooner.
    """
    taken_last = select(deliveries.c.accepted_at).order_by(deliveries.c.id.desc()).limit(1)
    accepted_at = connection.execute(taken_last).scalar_one_or_none()
    if accepted_at is None or accepted_at <= now:
        return 0
    latest = now + longest
    shortened = connection.execute(
        update(deliveries).where(deliveries.c.claimable_at > latest).values(claimable_at=latest)
    )
    is_open = deliveries.c.finished_at.is_(None)
    connection.execute(update(deliveries).where(is_open, deliveries.c.hold_until > latest).values(hold_until=latest))
    connection.execute(update(orders).where(orders.c.frozen_at > latest, _awaited()).values(frozen_at=latest))
    return shortened.rowcount


def _release(connection: Connection, *which: ColumnElement[bool], now: datetime) -> int:
    due = {"state": DeliveryState.DUE, "hold_until": None, "claimable_at": at_once_if_head(now)}
    is_held = deliveries.c.state == DeliveryState.HELD
    released = connection.execute(update(deliveries).where(*which, is_held).values(due)).rowcount
    if released:
        announce_work(connection)
    return released


def _awaited() -> ColumnElement[bool]:
    """Return whether something waits for an order."""
    waiting = select(deliveries.c.store_id, deliveries.c.order_id).where(deliveries.c.finished_at.is_(None))
    return tuple_(orders.c.store_id, orders.c.order_id).in_(waiting.where(deliveries.c.order_id.is_not(None)))


def _move(connection: Connection, at: Column[Any], sooner: int, now: datetime, *which: ColumnElement[bool]) -> int:
    moved = update(at.table).where(at > now, *which).values({at.name: type_coerce(at, BigInteger) - sooner})
    return connection.execute(moved).rowcount


def has_due(connection: Connection, destination_ids: Collection[str], *, now: datetime) -> bool:
    """Whether anything of these destinations may be claimed, without locking."""
    return any(select_rows(connection, _IS_DUE, {"destination_id": one, "now": now}) for one in destination_ids)


def _due(connection: Connection, destination_id: str, limit: int, now: datetime) -> list[Row]:
    found = select_rows(connection, _DUE, {"destination_id": destination_id, "now": now, "most": limit})
    return sorted(found, key=itemgetter("claimable_at", "id"))  # what came together leaves in the order of intake


def _claimed(row: Row, under: Row, stood_still: timedelta, now: datetime) -> Claimed:
    state = DeliveryState(row["state"])
    changed = {"state": state, "attempts": row["attempts"] + (state is DeliveryState.SENDING)}
    values = {**row, **under, **changed}
    if stood_still and row["first_attempt_at"] is not None:
        values["first_attempt_at"] = min(row["first_attempt_at"] + stood_still, now)
    del values["ending"], values["claimable_at"]
    return Claimed(**values)


def _by_claim(claimed: Sequence[Claimed]) -> dict[str, list[int]]:
    ids: dict[str, list[int]] = {}
    for one in claimed:
        ids.setdefault(one.claim, []).append(one.id)
    return ids


def _without_paused(
    connection: Connection, limits: Mapping[str, int], *, lease: timedelta, now: datetime
) -> tuple[dict[str, int], dict[str, timedelta]]:
    """Return how many each destination may be given, and for how long those that are tried again stood still."""
    stood_still: dict[str, timedelta] = {}
    paused = select_rows(connection, _PAUSED, {})
    allowed = {destination_id: limit for destination_id, limit in limits.items() if limit > 0}
    for row in paused:
        destination_id, probe_at = row["destination_id"], row["probe_at"]
        may_try = probe_at is not None and probe_at <= now and destination_id in allowed
        if may_try and take_probe(connection, destination_id, until=now + lease, now=now):
            allowed[destination_id] = 1
            stood_still[destination_id] = now - row["paused_at"]
        else:
            allowed.pop(destination_id, None)
    return allowed, stood_still


_IS_DUE: Final = (
    select(deliveries.c.id)
    .where(deliveries.c.destination_id == bindparam("destination_id"), deliveries.c.claimable_at <= bindparam("now"))
    .limit(1)
)
_DUE: Final = (
    select(*_TAKEN, deliveries.c.ending, deliveries.c.claimable_at)
    .where(deliveries.c.destination_id == bindparam("destination_id"), deliveries.c.claimable_at <= bindparam("now"))
    .order_by(deliveries.c.claimable_at)
    .limit(bindparam("most", type_=Integer))
    .with_for_update(skip_locked=True)
)
_PAUSED: Final = select(destinations.c.destination_id, destinations.c.paused_at, destinations.c.probe_at).where(
    destinations.c.paused_at.is_not(None)
)


@cache
def _busy(dialect: str) -> Select[Any]:
    stream = (deliveries.c.store_id, deliveries.c.stream)
    open_ones = select(*stream, deliveries.c.destination_id).distinct().where(deliveries.c.finished_at.is_(None))
    return select_by_rows(dialect, open_ones, stream)


@cache
def _take(dialect: str) -> Update:
    taken = {"state": DeliveryState.SENDING, "claim": bindparam("token"), "claimable_at": bindparam("until")}
    return update(deliveries).where(is_in_ids(dialect, deliveries.c.id)).values(taken)

"""Deliveries for tests of the queue, and the calls that move them."""

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import select

from gateway.model.delivery import DeliveryState, OutcomeKind
from gateway.storage import queue
from gateway.storage.database import Database
from gateway.storage.outcomes import Attempt, Settled, settle
from gateway.storage.queue import Claimed, NewDelivery
from gateway.storage.tables import bodies, deliveries

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
LEASE = timedelta(seconds=60)
SECOND = timedelta(seconds=1)


def a_delivery(stream: str = "order:1", **changes: Any) -> NewDelivery:
    given: dict[str, Any] = {
        "store_id": "acme",
        "destination_id": "sink",
        "stream": stream,
        "kind": "order",
        "message_id": f"msg_{stream}",
        "topic": "order.created",
        "topic_group": "orders",
        "state": DeliveryState.DUE,
    }
    return NewDelivery(**given | changes)


def a_held_delivery(stream: str = "order:1", *, seconds: float = 60, **changes: Any) -> NewDelivery:
    return a_delivery(stream, state=DeliveryState.HELD, hold_until=NOW + timedelta(seconds=seconds), **changes)


def enqueue(database: Database, *new: NewDelivery, now: datetime = NOW) -> None:
    database.write(lambda connection: queue.enqueue(connection, new, now=now))


def claim(database: Database, *, limit: int = 10, now: datetime = NOW, **limits: int) -> list[Claimed]:
    allowed = limits or {"sink": limit}
    return database.write(lambda c: queue.claim(c, worker="w", limits=allowed, lease=LEASE, now=now))


def topics(claimed: list[Claimed]) -> list[str]:
    return [one.topic for one in claimed]


def an_attempt(claimed: Claimed, kind: OutcomeKind = OutcomeKind.DELIVERED, now: datetime = NOW) -> Attempt:
    word = "ok" if kind is OutcomeKind.DELIVERED else "http_503"
    return Attempt(number=claimed.attempts + 1, at=now, kind=kind, word=word, took_ms=3)


def finish(database: Database, claimed: Claimed, *, now: datetime = NOW, **changes: Any) -> list[int]:
    given: dict[str, Any] = {"state": DeliveryState.DELIVERED, "attempt": an_attempt(claimed, now=now)}
    one = Settled(delivery_id=claimed.id, claim=claimed.claim, **given | changes)
    return database.write(lambda connection: settle(connection, [one], now=now))


def fail(database: Database, claimed: Claimed, *, now: datetime = NOW, again_after: timedelta = SECOND) -> list[int]:
    attempt = an_attempt(claimed, OutcomeKind.RETRY, now)
    return finish(database, claimed, now=now, state=DeliveryState.DUE, next_at=now + again_after, attempt=attempt)


def a_body(database: Database) -> int:
    row = {"store_id": "acme", "created_at": NOW, "key_id": "k", "sealed": b"sealed"}
    statement = bodies.insert().values(row).returning(bodies.c.id)
    return int(database.write(lambda connection: connection.execute(statement).scalar_one()))


def body_ids(database: Database) -> list[int]:
    return list(database.read(lambda connection: connection.execute(select(bodies.c.id)).scalars().all()))


def states(database: Database) -> dict[str, str]:
    """Topic to state."""
    query = select(deliveries.c.topic, deliveries.c.state).order_by(deliveries.c.id)
    return {row.topic: row.state for row in database.read(lambda connection: connection.execute(query).all())}


def row_of(database: Database, topic: str) -> Any:
    query = select(deliveries).where(deliveries.c.topic == topic)
    return database.read(lambda connection: connection.execute(query).one())

"""Old rows leave in small batches; what is still needed stays, and nothing that denies is forgotten."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Table, func, insert, select

from gateway.storage import retention
from gateway.storage.database import Database
from gateway.storage.retention import Ages, drop_old_rows
from gateway.storage.tables import (
    attempts,
    audits,
    bodies,
    events,
    lowerings,
    order_keys,
    orders,
    parked,
    records,
    sessions,
    subscriptions,
    webhooks,
)
from tests.storage.deliveries import NOW, a_delivery, body_ids, claim, enqueue, finish, states

AGES = Ages(body_days=7, record_days=100)
DAY = timedelta(days=1)


@pytest.fixture
def database(any_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    monkeypatch.setattr(retention, "BATCH", 3)
    database = Database(any_url, clock=lambda: NOW)
    yield database
    database.close()


def add(database: Database, table: Table, *rows: dict[str, Any]) -> None:
    database.write(lambda c: c.execute(insert(table), list(rows)).rowcount)


def count(database: Database, table: Table) -> int:
    query = select(func.count()).select_from(table)
    return int(database.read(lambda c: c.execute(query).scalar_one()))


def a_body(age_days: float) -> dict[str, Any]:
    return {"store_id": "acme", "created_at": NOW - age_days * DAY, "key_id": "k", "sealed": b"x"}


def an_order(order_id: str, age_days: float) -> dict[str, Any]:
    at = NOW - age_days * DAY
    return {"store_id": "acme", "order_id": order_id, "origin": "checkout", "seen_at": at, "frozen_at": at}


def a_record(age_days: float, **changes: Any) -> dict[str, Any]:
    given = {"channel": "order", "state": "answered", "choices": {}, "source": "client", "basis": "explicit"}
    return given | {"store_id": "acme", "received_at": NOW - age_days * DAY, "order_id": None} | changes


def test_bodies_go_after_their_days(database: Database) -> None:
    add(database, bodies, *(a_body(8) for _ in range(7)), a_body(6))
    assert drop_old_rows(database, AGES)["bodies"] == 7
    assert len(body_ids(database)) == 1


def test_a_body_stays_as_long_as_a_delivery_of_it_is_open(database: Database) -> None:
    add(database, bodies, a_body(30), a_body(30))
    first, second = body_ids(database)
    enqueue(database, a_delivery("order:1", body_id=first), a_delivery("order:2", body_id=second))
    finish(database, claim(database, limit=1)[0])
    drop_old_rows(database, AGES)
    assert body_ids(database) == [second]


def test_deliveries_and_their_attempts_go_after_their_days(database: Database) -> None:
    for n in range(5):
        enqueue(database, a_delivery(f"order:{n}", topic=f"old{n}"), now=NOW - 200 * DAY)
    enqueue(database, a_delivery("order:9", topic="young"))
    for claimed in claim(database, now=NOW - 150 * DAY)[1:]:
        finish(database, claimed, now=NOW - 150 * DAY)
    gone = drop_old_rows(database, AGES)
    assert (gone["deliveries"], count(database, attempts)) == (4, 0)
    assert set(states(database).values()) == {"sending", "due"}


def test_an_order_goes_with_its_keys_and_records(database: Database) -> None:
    add(database, orders, an_order("old", 101), an_order("young", 99))
    add(database, order_keys, *({"store_id": "acme", "key_hash": i, "order_id": i} for i in ("old", "young")))
    add(database, records, a_record(101, order_id="old"), a_record(101, order_id="young"), a_record(101))
    drop_old_rows(database, AGES)
    assert (count(database, orders), count(database, order_keys), count(database, records)) == (1, 1, 1)


def test_an_order_that_began_a_living_subscription_stays(database: Database) -> None:
    add(database, orders, an_order("parent", 500), an_order("forgotten", 500))
    seen = [("1", "parent", 10), ("2", "forgotten", 300)]
    for subscription_id, order_id, age in seen:
        row = {"store_id": "acme", "subscription_id": subscription_id, "parent_order_id": order_id}
        add(database, subscriptions, row | {"seen_at": NOW - age * DAY})
    drop_old_rows(database, AGES)
    assert database.read(lambda c: c.execute(select(orders.c.order_id)).scalars().all()) == ["parent"]


@pytest.mark.parametrize("is_sent", [False, True])
def test_an_order_stays_as_long_as_a_delivery_of_it(database: Database, is_sent: bool) -> None:
    add(database, orders, an_order("waits", 500), an_order("gone", 500))
    enqueue(database, a_delivery("order:waits", order_id="waits"), now=NOW - 200 * DAY)
    if is_sent:
        finish(database, claim(database)[0], now=NOW - DAY)
    drop_old_rows(database, AGES)
    assert database.read(lambda c: c.execute(select(orders.c.order_id)).scalars().all()) == ["waits"]


def test_an_order_that_began_a_subscription_stays_as_long_as_a_delivery_of_then(database: Database) -> None:
    add(database, orders, an_order("parent", 500), an_order("forgotten", 500))
    enqueue(database, a_delivery("order:renewal", order_id="renewal"), now=NOW - 200 * DAY)
    for subscription_id, order_id, age in (("1", "parent", 200), ("2", "forgotten", 201)):
        row = {"store_id": "acme", "subscription_id": subscription_id, "parent_order_id": order_id}
        add(database, subscriptions, row | {"seen_at": NOW - age * DAY})
    drop_old_rows(database, AGES)
    assert database.read(lambda c: c.execute(select(orders.c.order_id)).scalars().all()) == ["parent"]


def test_denials_of_people_are_never_forgotten(database: Database) -> None:
    add(database, orders, an_order("7", 500))
    lowered = {"store_id": "acme", "subject": "7", "category": "marketing", "by": "withdrawal", "at": NOW - 500 * DAY}
    add(database, lowerings, *(lowered | {"subject_kind": kind} for kind in ("order", "customer", "email")))
    drop_old_rows(database, AGES)
    kinds = database.read(lambda c: c.execute(select(lowerings.c.subject_kind)).scalars().all())
    assert sorted(kinds) == ["customer", "email"]


def test_digests_of_webhooks_and_events_outlive_bodies(database: Database) -> None:
    for age in (99, 101):
        at = NOW - age * DAY
        words = {"store_id": "acme", "received_at": at}
        add(database, webhooks, words | {"key": f"k{age}", "topic": "order.created", "status": "accepted"})
        add(database, events, words | {"event_id": f"e{age}", "event": "view_item", "verdict": "queued"})
        add(database, audits, {"at": at, "actor": "a", "action": "b"})
    drop_old_rows(database, AGES)
    assert [count(database, table) for table in (webhooks, events, audits)] == [1, 1, 1]


def test_parked_signals_and_old_visits_go(database: Database) -> None:
    for n, age in ((1, 0.1), (2, -0.1)):
        row = {"store_id": "acme", "key_hash": "h", "record_id": n, "expires_at": NOW - age * DAY}
        add(database, parked, row)
    for age in (99, 101):
        visit = {"store_id": "acme", "session_hash": f"s{age}", "seen_at": NOW, "updated_at": NOW - age * DAY}
        add(database, sessions, visit)
    drop_old_rows(database, AGES)
    assert (count(database, parked), count(database, sessions)) == (1, 1)


def test_it_stops_when_told(database: Database) -> None:
    add(database, bodies, *(a_body(8) for _ in range(7)))
    drop_old_rows(database, AGES, is_stopping=lambda: True)
    assert len(body_ids(database)) == 7


def test_others_write_between_its_batches(database: Database) -> None:
    add(database, bodies, *(a_body(8) for _ in range(10)))
    left: list[int] = []

    def write_meanwhile() -> bool:
        left.append(count(database, bodies))
        add(database, audits, {"at": NOW, "actor": "a", "action": "b"})
        return False

    drop_old_rows(database, AGES, is_stopping=write_meanwhile)
    assert list(dict.fromkeys(left)) == [10, 7, 4, 1, 0]
    assert count(database, audits) == len(left)

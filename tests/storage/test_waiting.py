"""What waits is held longer, ended, tried at once - and refused when too much of it waits."""

from datetime import timedelta

import pytest

from gateway.model.delivery import DeliveryState
from gateway.storage import waiting
from gateway.storage.database import Database
from gateway.storage.pausing import pause
from gateway.storage.waiting import cancel, is_overloaded, open_in_stream, retry_now
from tests.storage.deliveries import (
    NOW,
    a_body,
    a_delivery,
    a_held_delivery,
    body_ids,
    claim,
    enqueue,
    fail,
    finish,
    row_of,
    states,
    topics,
)

HOUR = timedelta(hours=1)


def _cancel(database: Database, *topics: str, drop: bool = False) -> list[int]:
    ids = [row_of(database, topic).id for topic in topics]
    return database.write(
        lambda c: cancel(c, ids, state=DeliveryState.EXPIRED, reason="expired", drop_bodies=drop, now=NOW)
    )


def test_cancel_ends_what_is_named_and_nothing_else(any_database: Database) -> None:
    enqueue(any_database, a_held_delivery("session:a", topic="a"), a_held_delivery("session:b", topic="b"))
    assert len(_cancel(any_database, "a")) == 1
    assert _cancel(any_database, "a") == []
    assert states(any_database) == {"a": "expired", "b": "held"}
    assert row_of(any_database, "a").reason == "expired"


def test_open_deliveries_of_a_stream_are_those_of_one_store(any_database: Database) -> None:
    elsewhere = a_delivery("s:1", store_id="other", topic="elsewhere")
    enqueue(any_database, a_held_delivery("s:1", topic="one"), a_delivery("s:1", topic="two"), elsewhere)
    enqueue(any_database, a_held_delivery("s:1", topic="ended"), a_delivery("s:2", topic="beside"))
    _cancel(any_database, "ended")
    found = any_database.read(lambda c: open_in_stream(c, "acme", "s:1"))
    assert sorted(found) == [row_of(any_database, topic).id for topic in ("one", "two")]


def test_cancelling_a_head_lets_its_follower_go(any_database: Database) -> None:
    enqueue(any_database, a_held_delivery(topic="held"), a_delivery(topic="next"))
    _cancel(any_database, "held")
    assert topics(claim(any_database)) == ["next"]


def test_cancelling_drops_bodies_only_when_told(any_database: Database) -> None:
    kept, dropped = a_body(any_database), a_body(any_database)
    one, other = a_held_delivery(topic="one", body_id=kept), a_held_delivery(topic="other", body_id=dropped)
    enqueue(any_database, one, other)
    _cancel(any_database, "one")
    _cancel(any_database, "other", drop=True)
    assert body_ids(any_database) == [kept]


def test_more_than_one_chunk_is_cancelled(any_database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "_CHUNK", 2)
    topics_held = [f"topic-{n}" for n in range(5)]
    enqueue(any_database, *(a_held_delivery(f"s:{topic}", topic=topic) for topic in topics_held))
    assert len(_cancel(any_database, *topics_held)) == 5


def test_what_waits_for_another_attempt_may_be_tried_at_once(any_database: Database) -> None:
    enqueue(any_database, a_delivery(topic="first"))
    [claimed] = claim(any_database)
    fail(any_database, claimed, again_after=HOUR)
    assert any_database.write(lambda c: retry_now(c, [claimed.id], now=NOW)) == 1
    assert claim(any_database)[0].attempts == 1


def test_what_failed_may_be_tried_again_with_a_new_horizon(any_database: Database) -> None:
    enqueue(any_database, a_delivery(topic="first"))
    [claimed] = claim(any_database)
    finish(any_database, claimed, state=DeliveryState.FAILED)
    any_database.write(lambda c: retry_now(c, [claimed.id], now=NOW))
    [again] = claim(any_database)
    assert (again.id, again.attempts, again.first_attempt_at, again.message_id) == (
        claimed.id,
        1,
        None,
        claimed.message_id,
    )


def test_what_is_reopened_waits_for_what_is_under_way(any_database: Database) -> None:
    enqueue(any_database, a_delivery(topic="first"), a_delivery(topic="second"))
    [first] = claim(any_database)
    finish(any_database, first, state=DeliveryState.FAILED)
    [second] = claim(any_database)
    any_database.write(lambda c: retry_now(c, [first.id], now=NOW))
    assert claim(any_database) == []
    finish(any_database, second)
    assert topics(claim(any_database)) == ["first"]


def test_what_was_delivered_is_not_tried_again(any_database: Database) -> None:
    enqueue(any_database, a_delivery(topic="first"))
    [claimed] = claim(any_database)
    finish(any_database, claimed)
    assert any_database.write(lambda c: retry_now(c, [claimed.id], now=NOW)) == 0
    assert claim(any_database) == []


@pytest.fixture
def piled_up(any_url: str, monkeypatch: pytest.MonkeyPatch) -> Database:
    monkeypatch.setattr(waiting, "MOST_DUE", 3)
    database = Database(any_url, clock=lambda: NOW + HOUR)
    enqueue(database, *(a_delivery(f"order:{n}") for n in range(4)))
    return database


def test_too_much_that_is_due_for_too_long_is_an_overload(piled_up: Database) -> None:
    assert not is_overloaded(piled_up, as_of_seconds=-1)  # nobody delivers: refusing would not help
    claim(piled_up, limit=1, now=NOW + HOUR)
    assert is_overloaded(piled_up, as_of_seconds=-1)
    claim(piled_up, limit=1, now=NOW + HOUR)
    assert not is_overloaded(piled_up, as_of_seconds=-1)
    piled_up.close()


def test_a_paused_or_failing_destination_overloads_nothing(piled_up: Database) -> None:
    [claimed] = claim(piled_up, limit=1, now=NOW + HOUR)
    piled_up.write(lambda c: pause(c, "sink", reason="maintenance", now=NOW))
    assert not is_overloaded(piled_up, as_of_seconds=-1)
    fail(piled_up, claimed, now=NOW + HOUR)
    assert not is_overloaded(piled_up, as_of_seconds=-1)
    piled_up.close()


def test_fresh_work_is_no_overload(any_database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "MOST_DUE", 3)
    enqueue(any_database, *(a_delivery(f"order:{n}") for n in range(5)), now=any_database.now())
    claim(any_database, limit=1, now=any_database.now())
    assert not is_overloaded(any_database)

"""The queue keeps the order of a stream, lets heads go, and never lets two workers have one delivery."""

from datetime import timedelta

import pytest

from gateway.model.delivery import DeliveryState
from gateway.storage import queue
from gateway.storage.database import Database
from tests.storage.deliveries import (
    LEASE,
    NOW,
    SECOND,
    a_delivery,
    a_held_delivery,
    claim,
    enqueue,
    fail,
    finish,
    row_of,
    topics,
)


def test_only_the_head_of_a_stream_is_claimed(any_database: Database) -> None:
    enqueue(any_database, a_delivery(topic="first"), a_delivery(topic="second"), a_delivery("order:2", topic="other"))
    assert topics(claim(any_database)) == ["first", "other"]


def test_the_outcome_of_a_head_lets_the_next_go(any_database: Database) -> None:
    enqueue(any_database, a_delivery(topic="first"), a_delivery(topic="second"))
    [first] = claim(any_database)
    assert claim(any_database) == []
    assert finish(any_database, first) == [first.id]
    assert topics(claim(any_database)) == ["second"]


def test_a_stream_goes_on_after_it_was_empty(any_database: Database) -> None:
    enqueue(any_database, a_delivery(topic="first"))
    finish(any_database, claim(any_database)[0])
    enqueue(any_database, a_delivery(topic="second"))
    assert topics(claim(any_database)) == ["second"]


def test_what_comes_later_waits_for_what_is_open(any_database: Database) -> None:
    enqueue(any_database, a_delivery(topic="first"))
    claimed = claim(any_database)
    enqueue(any_database, a_delivery(topic="second"))
    assert claim(any_database) == []
    finish(any_database, claimed[0])
    assert topics(claim(any_database)) == ["second"]


def test_streams_of_different_destinations_do_not_wait_for_each_other(any_database: Database) -> None:
    enqueue(any_database, a_delivery(topic="first"), a_delivery(topic="other", destination_id="second"))
    assert topics(claim(any_database, sink=5, second=5)) == ["first", "other"]


def test_a_failing_head_holds_back_only_its_own_followers(any_database: Database) -> None:
    enqueue(any_database, a_delivery(topic="first"), a_delivery(topic="second"), a_delivery("order:2", topic="other"))
    failing, other = claim(any_database)
    fail(any_database, failing, again_after=timedelta(hours=1))
    finish(any_database, other)
    assert claim(any_database, now=NOW + SECOND) == []
    assert topics(claim(any_database, now=NOW + timedelta(hours=1))) == ["first"]


def test_a_head_that_failed_for_good_releases_its_followers(any_database: Database) -> None:
    enqueue(any_database, a_delivery(topic="first"), a_delivery(topic="second"))
    finish(any_database, claim(any_database)[0], state=DeliveryState.FAILED)
    assert topics(claim(any_database)) == ["second"]


def test_a_held_head_is_claimed_when_its_hold_ends(any_database: Database) -> None:
    enqueue(any_database, a_held_delivery(seconds=60, topic="held"))
    assert claim(any_database, now=NOW + timedelta(seconds=59)) == []
    [claimed] = claim(any_database, now=NOW + timedelta(seconds=60))
    assert claimed.state is DeliveryState.HELD


def test_a_held_head_holds_its_followers(any_database: Database) -> None:
    enqueue(any_database, a_held_delivery(topic="held"), a_delivery(topic="next"))
    assert claim(any_database, now=NOW + SECOND) == []


def test_a_held_follower_waits_for_its_own_hold_once_it_leads(any_database: Database) -> None:
    enqueue(any_database, a_delivery(topic="first"), a_held_delivery(seconds=60, topic="held"))
    finish(any_database, claim(any_database)[0])
    assert claim(any_database, now=NOW + SECOND) == []
    assert topics(claim(any_database, now=NOW + timedelta(seconds=60))) == ["held"]


def test_released_deliveries_go_at_once_and_in_order(any_database: Database) -> None:
    enqueue(any_database, a_held_delivery(topic="one", order_id="1"), a_held_delivery(topic="two", order_id="1"))
    released = any_database.write(lambda c: queue.release_order(c, store_id="acme", order_id="1", now=NOW))
    assert released == 2
    [first] = claim(any_database)
    finish(any_database, first)
    assert [first.topic, *topics(claim(any_database))] == ["one", "two"]


def test_release_leaves_others_held(any_database: Database) -> None:
    enqueue(any_database, a_held_delivery("order:1", order_id="1"), a_held_delivery("order:2", order_id="2"))
    assert any_database.write(lambda c: queue.release_order(c, store_id="acme", order_id="3", now=NOW)) == 0
    assert any_database.write(lambda c: queue.release_order(c, store_id="other", order_id="1", now=NOW)) == 0
    assert claim(any_database) == []


def test_no_more_is_claimed_than_allowed(any_database: Database) -> None:
    enqueue(any_database, *(a_delivery(f"order:{n}") for n in range(5)))
    assert len(claim(any_database, limit=2)) == 2
    assert len(claim(any_database, limit=2)) == 2
    assert len(claim(any_database, limit=2)) == 1


def test_what_waits_longest_is_claimed_first(any_database: Database) -> None:
    enqueue(any_database, a_delivery("order:2", topic="late"), now=NOW + SECOND)
    enqueue(any_database, a_delivery("order:1", topic="early"))
    assert topics(claim(any_database, now=NOW + SECOND)) == ["early", "late"]


def test_unknown_destinations_are_left_alone(any_database: Database) -> None:
    enqueue(any_database, a_delivery(destination_id="removed"))
    assert claim(any_database) == []


def test_a_lease_that_ran_out_is_taken_over_and_the_lost_attempt_counts(any_database: Database) -> None:
    enqueue(any_database, a_delivery(topic="first"))
    [first] = claim(any_database)
    assert claim(any_database, now=NOW + LEASE - SECOND) == []
    [again] = claim(any_database, now=NOW + LEASE)
    assert (again.id, again.state, again.attempts) == (first.id, DeliveryState.SENDING, 1)
    assert again.message_id == first.message_id


def test_a_lease_of_a_process_that_is_gone_is_taken_over_at_once(any_database: Database) -> None:
    enqueue(any_database, a_delivery(), a_held_delivery("order:2"))
    [first] = claim(any_database)
    assert any_database.write(lambda connection: queue.end_leases(connection, now=NOW + SECOND)) == 1
    [again] = claim(any_database, now=NOW + SECOND)
    assert (again.id, again.attempts) == (first.id, 1)


def test_a_worker_that_lost_its_lease_changes_nothing_where_it_failed(any_database: Database) -> None:
    enqueue(any_database, a_delivery(topic="first"), a_delivery(topic="second"))
    [first] = claim(any_database)
    [again] = claim(any_database, now=NOW + LEASE)
    assert fail(any_database, first) == []
    assert row_of(any_database, "first").state == DeliveryState.SENDING
    assert finish(any_database, again) == [again.id]
    assert finish(any_database, again) == []


@pytest.mark.parametrize("is_tried_again", [False, True])
def test_what_arrived_under_a_lease_that_was_lost_is_delivered(any_database: Database, is_tried_again: bool) -> None:
    enqueue(any_database, a_delivery(topic="first"), a_delivery(topic="second"))
    [first] = claim(any_database)
    [again] = claim(any_database, now=NOW + LEASE)
    if is_tried_again:
        fail(any_database, again, now=NOW + LEASE)
    assert finish(any_database, first, now=NOW + LEASE) == [first.id]
    row = row_of(any_database, "first")
    assert (row.state, row.word, row.attempts) == ("delivered", "ok", 3 if is_tried_again else 2)
    assert fail(any_database, again) == []
    assert topics(claim(any_database, now=NOW + LEASE)) == ["second"]


def test_a_lost_attempt_begins_the_time_in_which_it_is_tried_again(any_database: Database) -> None:
    enqueue(any_database, a_delivery(topic="first"))
    claim(any_database)
    claim(any_database, now=NOW + LEASE)
    claim(any_database, now=NOW + LEASE + LEASE)
    assert row_of(any_database, "first").first_attempt_at == NOW + LEASE


def test_given_back_deliveries_may_be_claimed_at_once(any_database: Database) -> None:
    enqueue(any_database, a_delivery(topic="first"), a_held_delivery("order:2", seconds=0, topic="held"))
    claimed = claim(any_database)
    any_database.write(lambda c: queue.give_back(c, claimed, now=NOW))
    again = claim(any_database)
    assert [(one.topic, one.state, one.attempts) for one in again] == [
        ("first", DeliveryState.DUE, 0),
        ("held", DeliveryState.HELD, 0),
    ]


def test_has_due_sees_what_may_be_claimed(any_database: Database) -> None:
    enqueue(any_database, a_held_delivery(seconds=60))
    assert not any_database.read(lambda c: queue.has_due(c, ["sink"], now=NOW))
    assert not any_database.read(lambda c: queue.has_due(c, ["other"], now=NOW + LEASE))
    assert any_database.read(lambda c: queue.has_due(c, ["sink"], now=NOW + LEASE))

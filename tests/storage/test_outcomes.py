"""Outcomes: what is written of an attempt, when bodies go, and what ends while it is being sent."""

from datetime import datetime

from sqlalchemy import select

from gateway.model.delivery import DeliveryState, OutcomeKind
from gateway.storage.database import Database
from gateway.storage.outcomes import Settled, settle
from gateway.storage.queue import Claimed, give_back
from gateway.storage.signals import last_call_back
from gateway.storage.stranded import end_lost, lost_endings
from gateway.storage.tables import attempts
from gateway.storage.waiting import cancel, is_to_end
from tests.storage.deliveries import (
    LEASE,
    NOW,
    SECOND,
    a_body,
    a_delivery,
    an_attempt,
    body_ids,
    claim,
    enqueue,
    fail,
    finish,
    row_of,
    states,
    topics,
)


def test_a_delivered_row_keeps_its_decision_and_its_attempt(any_database: Database) -> None:
    enqueue(any_database, a_delivery(topic="first"))
    [claimed] = claim(any_database)
    decision = {"action": "send_redacted", "reason": "some_denied", "detail": {"removed": ["billing.email"]}}
    finish(any_database, claimed, now=NOW + SECOND, sent_sha256="ab", decided_version=3, **decision)
    row = row_of(any_database, "first")
    assert (row.state, row.attempts, row.word, row.finished_at) == ("delivered", 1, "ok", NOW + SECOND)
    assert (row.action, row.reason, row.detail) == (*list(decision.values())[:2], decision["detail"])
    assert (row.claim, row.claimable_at, row.sent_sha256, row.first_attempt_at) == (None, None, "ab", NOW + SECOND)


def test_a_retry_keeps_the_first_attempt_and_adds_to_the_attempts(any_database: Database) -> None:
    enqueue(any_database, a_delivery(topic="first"))
    fail(any_database, claim(any_database)[0])
    [again] = claim(any_database, now=NOW + SECOND)
    fail(any_database, again, now=NOW + SECOND)
    row = row_of(any_database, "first")
    assert (row.attempts, row.first_attempt_at, row.last_attempt_at, row.state) == (2, NOW, NOW + SECOND, "due")
    written = any_database.read(lambda c: c.execute(select(attempts).order_by(attempts.c.number)).all())
    assert [(one.number, one.kind, one.next_at) for one in written] == [
        (1, "retry", NOW + SECOND),
        (2, "retry", NOW + SECOND + SECOND),
    ]


def test_a_delivery_may_be_held_again(any_database: Database) -> None:
    enqueue(any_database, a_delivery(topic="first"))
    [claimed] = claim(any_database)
    finish(any_database, claimed, state=DeliveryState.HELD, hold_until=NOW + LEASE, attempt=None)
    assert claim(any_database, now=NOW + SECOND) == []
    assert claim(any_database, now=NOW + LEASE)[0].state is DeliveryState.HELD


def test_many_outcomes_are_written_at_once(any_database: Database) -> None:
    enqueue(any_database, *(a_delivery(f"order:{n}", topic=str(n)) for n in range(5)), a_delivery("order:0", topic="x"))
    claimed = claim(any_database)
    settled = [
        Settled(delivery_id=one.id, claim=one.claim, state=DeliveryState.DELIVERED, attempt=an_attempt(one))
        for one in claimed
    ]
    assert any_database.write(lambda c: settle(c, settled, now=NOW)) == [one.id for one in claimed]
    assert topics(claim(any_database)) == ["x"]


def test_a_body_is_dropped_once_nothing_open_needs_it(any_database: Database) -> None:
    body_id = a_body(any_database)
    enqueue(any_database, *(a_delivery(f"session:{n}", body_id=body_id) for n in range(2)))
    first, second = claim(any_database)
    finish(any_database, first, state=DeliveryState.SUPPRESSED, drop_body=True, attempt=None)
    assert body_ids(any_database) == [body_id]
    finish(any_database, second, state=DeliveryState.EXPIRED, drop_body=True, attempt=None)
    assert body_ids(any_database) == []


def test_cancelled_while_being_sent_ends_instead_of_another_attempt(any_database: Database) -> None:
    body_id = a_body(any_database)
    enqueue(any_database, a_delivery(topic="first", body_id=body_id), a_delivery(topic="second"))
    [claimed] = claim(any_database)
    _cancel_first(any_database)
    assert states(any_database)["first"] == "sending"
    fail(any_database, claimed)
    row = row_of(any_database, "first")
    assert (row.state, row.reason, row.attempts, row.ending) == ("cancelled", "withdrawn", 1, None)
    assert body_ids(any_database) == []
    assert topics(claim(any_database)) == ["second"]


def test_cancelled_while_being_sent_is_delivered_when_it_arrives(any_database: Database) -> None:
    enqueue(any_database, a_delivery(topic="first"))
    [claimed] = claim(any_database)
    _cancel_first(any_database)
    finish(any_database, claimed)
    assert states(any_database) == {"first": "delivered"}


def test_cancelled_while_being_sent_ends_when_its_worker_is_lost(any_database: Database) -> None:
    enqueue(any_database, a_delivery(topic="first"), a_delivery(topic="second"))
    claim(any_database)
    _cancel_first(any_database)
    assert claim(any_database, now=NOW + LEASE) == []
    assert states(any_database) == {"first": "cancelled", "second": "due"}
    assert topics(claim(any_database, now=NOW + LEASE)) == ["second"]


def test_attempt_of_a_lost_worker_counts_also_where_it_is_the_last(any_database: Database) -> None:
    enqueue(any_database, a_delivery("order:1", topic="sent"), a_delivery("order:2", topic="given back"))
    claimed = {one.topic: one for one in claim(any_database)}
    ids = [one.id for one in claimed.values()]
    any_database.write(
        lambda c: cancel(c, ids, state=DeliveryState.CANCELLED, reason="withdrawn", drop_bodies=True, now=NOW)
    )
    any_database.write(lambda connection: give_back(connection, [claimed["given back"]], now=NOW))
    claim(any_database, now=NOW + LEASE)
    rows = {topic: row_of(any_database, topic) for topic in claimed}
    assert {row.state for row in rows.values()} == {"cancelled"}
    assert (rows["sent"].attempts, rows["sent"].word, rows["given back"].attempts) == (1, "lease_expired", 0)
    written = any_database.read(lambda c: c.execute(select(attempts.c.delivery_id, attempts.c.word)).all())
    assert [tuple(one) for one in written] == [(claimed["sent"].id, "lease_expired")]


def test_cancelled_while_being_sent_is_delivered_when_its_lost_worker_says_so(any_database: Database) -> None:
    enqueue(any_database, a_delivery(topic="first"), a_delivery(topic="second"))
    [claimed] = claim(any_database)
    _cancel_first(any_database)
    claim(any_database, now=NOW + LEASE)
    finish(any_database, claimed, now=NOW + LEASE, reason="all_granted")
    row = row_of(any_database, "first")
    assert (row.state, row.reason, row.attempts, row.word) == ("delivered", "all_granted", 2, "ok")
    assert topics(claim(any_database, now=NOW + LEASE)) == ["second"]


def test_what_arrived_under_a_lost_lease_calls_back_whoever_took_it_over(any_database: Database) -> None:
    enqueue(any_database, a_delivery(topic="first"))
    [first] = claim(any_database)
    [again] = claim(any_database, now=NOW + LEASE)
    before = any_database.read(last_call_back)
    assert _is_to_end(any_database, first)
    assert not _is_to_end(any_database, again)
    finish(any_database, first, now=NOW + LEASE)
    assert any_database.read(last_call_back) != before
    assert _is_to_end(any_database, again)


def test_what_was_ended_with_its_lost_lease_is_not_sent_by_whoever_held_it(any_database: Database) -> None:
    enqueue(any_database, a_delivery(topic="first"))
    [claimed] = claim(any_database)
    assert not _is_to_end(any_database, claimed)
    _cancel_first(any_database)
    assert _is_to_end(any_database, claimed)
    claim(any_database, now=NOW + LEASE)
    assert _is_to_end(any_database, claimed)


def test_what_was_cancelled_after_its_last_attempt_stays_so(any_database: Database) -> None:
    enqueue(any_database, a_delivery(topic="first"))
    [claimed] = claim(any_database)
    fail(any_database, claimed)
    _cancel_first(any_database)
    finish(any_database, claimed)
    assert states(any_database) == {"first": "cancelled"}


def test_cancelled_while_being_sent_ends_although_nobody_may_claim_it(any_database: Database) -> None:
    body_id = a_body(any_database)
    enqueue(any_database, a_delivery(topic="first", body_id=body_id), a_delivery(topic="second"))
    claim(any_database)
    _cancel_first(any_database)
    assert _end_lost(any_database, now=NOW + LEASE - SECOND) == 0
    assert _end_lost(any_database, now=NOW + LEASE) == 1
    assert states(any_database) == {"first": "cancelled", "second": "due"}
    assert body_ids(any_database) == []


def test_a_lost_lease_alone_ends_nothing(any_database: Database) -> None:
    enqueue(any_database, a_delivery(topic="first"))
    [claimed] = claim(any_database)
    fail(any_database, claimed)
    claim(any_database, now=NOW + SECOND)
    assert _end_lost(any_database, now=NOW + 2 * LEASE) == 0
    assert states(any_database) == {"first": "sending"}


def test_what_was_taken_over_is_not_ended_as_lost(any_database: Database) -> None:
    enqueue(any_database, a_delivery(topic="first"))
    [claimed] = claim(any_database)
    _cancel_first(any_database)
    finish(any_database, claimed)
    any_database.write(lambda connection: end_lost(connection, [claimed.id], now=NOW + LEASE))
    assert states(any_database) == {"first": "delivered"}


def test_a_refusal_ends_a_delivery(any_database: Database) -> None:
    enqueue(any_database, a_delivery(topic="first"))
    [claimed] = claim(any_database)
    finish(any_database, claimed, state=DeliveryState.FAILED, attempt=an_attempt(claimed, OutcomeKind.REFUSED))
    assert states(any_database) == {"first": "failed"}


def _cancel_first(database: Database) -> None:
    ids = [row_of(database, "first").id]
    database.write(
        lambda c: cancel(c, ids, state=DeliveryState.CANCELLED, reason="withdrawn", drop_bodies=True, now=NOW)
    )


def _is_to_end(database: Database, claimed: Claimed) -> bool:
    return database.read(lambda connection: is_to_end(connection, claimed.id, claimed.claim))


def _end_lost(database: Database, *, now: datetime) -> int:
    ids = database.read(lambda connection: lost_endings(connection, now=now))
    database.write(lambda connection: end_lost(connection, ids, now=now))
    return len(ids)

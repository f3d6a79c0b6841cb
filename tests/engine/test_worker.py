"""The worker delivers in order, in time and fairly, and survives whatever a delivery brings up."""

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert, select

from gateway.errors import NotRecorded
from gateway.model.delivery import DeliveryState, OutcomeKind
from gateway.storage import queue
from gateway.storage.database import Database
from gateway.storage.outcomes import Attempt, Settled, settle
from gateway.storage.queue import Claimed, NewDelivery
from gateway.storage.tables import attempts, deliveries, orders
from gateway.worker import Pace, Worker
from gateway.worker.outcomes import Outcomes
from tests.storage.deliveries import a_delivery, row_of

PACE = Pace(threads=2, poll_seconds=0.05, lease_seconds=30)
PATIENCE = 20.0


@dataclass(frozen=True)
class Parcel:
    """Something that may be sent."""

    claimed: Claimed


class Receivers:
    """Takes deliveries in and answers as each destination was told to; remembers what arrived, in order."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.arrived: defaultdict[str, list[str]] = defaultdict(list)
        self.answers: dict[str, Callable[[Claimed], DeliveryState]] = {}
        self.broken_topics: set[str] = set()
        self.details: defaultdict[str, dict[str, Any]] = defaultdict(dict)
        self.suppressed_topics: set[str] = set()
        self.while_deciding: Callable[[], object] = lambda: None

    def prepare(self, claimed: Sequence[Claimed]) -> list[Settled | Parcel]:
        self.while_deciding()
        if any(one.topic in self.broken_topics for one in claimed):
            raise ValueError("cannot be prepared")
        return [self._decided(one) for one in claimed]

    def send(self, prepared: Parcel) -> Settled:
        claimed = prepared.claimed
        answer = self.answers.get(claimed.destination_id)
        state = answer(claimed) if answer else DeliveryState.DELIVERED
        if state is DeliveryState.DELIVERED:
            self.arrived[claimed.destination_id].append(claimed.topic)
        kind = OutcomeKind.DELIVERED if state is DeliveryState.DELIVERED else OutcomeKind.RETRY
        attempt = Attempt(number=claimed.attempts + 1, at=self.database.now(), kind=kind, word=kind.value)
        next_at = None if state is DeliveryState.DELIVERED else self.database.now()
        about: dict[str, Any] = {"state": state, "next_at": next_at, "detail": self.details[claimed.topic]}
        return Settled(delivery_id=claimed.id, claim=claimed.claim, attempt=attempt, **about)

    def put_off(self, claimed: Claimed) -> Settled:
        now = self.database.now()
        attempt = Attempt(number=claimed.attempts + 1, at=now, kind=OutcomeKind.RETRY, word="bug")
        next_at = now + timedelta(minutes=1)
        return Settled(
            delivery_id=claimed.id, claim=claimed.claim, state=DeliveryState.DUE, next_at=next_at, attempt=attempt
        )

    def _decided(self, claimed: Claimed) -> Settled | Parcel:
        if claimed.topic in self.suppressed_topics:
            return Settled(delivery_id=claimed.id, claim=claimed.claim, state=DeliveryState.SUPPRESSED, reason="denied")
        return Parcel(claimed)


@pytest.fixture
def receivers(any_database: Database) -> Receivers:
    return Receivers(any_database)


@pytest.fixture
def worker(any_database: Database, receivers: Receivers) -> Iterator[Worker]:
    worker = Worker(any_database, receivers, name="w", destination_ids=["sink", "second", "third"], pace=PACE)
    worker.start()
    yield worker
    worker.stop(within_seconds=5)


def enqueue(database: Database, *new: NewDelivery) -> None:
    database.write(lambda connection: queue.enqueue(connection, new, now=database.now()))


def open_count(database: Database) -> int:
    query = select(deliveries.c.id).where(deliveries.c.finished_at.is_(None))
    return len(database.read(lambda connection: connection.execute(query).all()))


def wait_for(is_so: Callable[[], bool]) -> None:
    ends_at = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < ends_at, "waited too long"
        time.sleep(0.01)


def deliver_all(database: Database, receivers: Receivers) -> None:
    """Have a worker deliver until nothing is open any more."""
    worker = Worker(database, receivers, name="w", destination_ids=["sink"], pace=PACE)
    worker.start()
    wait_for(lambda: open_count(database) == 0)
    worker.stop(within_seconds=5)


@pytest.mark.usefixtures("worker")
def test_streams_arrive_whole_and_in_order(any_database: Database, receivers: Receivers) -> None:
    for n in range(10):
        enqueue(any_database, *(a_delivery(f"order:{stream}", topic=f"{stream}.{n}") for stream in range(5)))
    wait_for(lambda: open_count(any_database) == 0)
    for stream in range(5):
        own = [topic for topic in receivers.arrived["sink"] if topic.startswith(f"{stream}.")]
        assert own == [f"{stream}.{n}" for n in range(10)]


@pytest.mark.usefixtures("worker")
def test_a_hanging_destination_starves_no_other(any_database: Database, receivers: Receivers) -> None:
    may_end = threading.Event()
    for hanging in ("second", "third"):
        receivers.answers[hanging] = lambda _: DeliveryState.DELIVERED if may_end.wait(PATIENCE) else DeliveryState.DUE
        enqueue(any_database, *(a_delivery(f"order:{n}", destination_id=hanging) for n in range(20)))
    enqueue(any_database, *(a_delivery(f"order:{n}") for n in range(20)))
    wait_for(lambda: len(receivers.arrived["sink"]) == 20)
    assert receivers.arrived["second"] == receivers.arrived["third"] == []
    claimed = [row.destination_id for row in _rows(any_database) if row.state == DeliveryState.SENDING]
    assert all(claimed.count(hanging) <= PACE.threads for hanging in ("second", "third"))
    may_end.set()


@pytest.mark.usefixtures("worker")
def test_what_waits_behind_a_receiver_that_hangs_is_given_back(any_database: Database, receivers: Receivers) -> None:
    enqueue(any_database, *(a_delivery(f"quick:{n}") for n in range(80)))
    wait_for(lambda: open_count(any_database) == 0)
    may_end = threading.Event()
    receivers.answers["sink"] = lambda _: DeliveryState.DELIVERED if may_end.wait(PATIENCE) else DeliveryState.DUE
    enqueue(any_database, *(a_delivery(f"slow:{n}") for n in range(20)))
    wait_for(lambda: _count(any_database, DeliveryState.SENDING) > PACE.threads)
    wait_for(lambda: _count(any_database, DeliveryState.SENDING) == PACE.threads)
    assert _count(any_database, DeliveryState.DUE) == 20 - PACE.threads
    may_end.set()


@pytest.mark.usefixtures("worker")
def test_what_failed_is_tried_until_it_arrives(any_database: Database, receivers: Receivers) -> None:
    answers = iter([DeliveryState.DUE, DeliveryState.DUE])
    receivers.answers["sink"] = lambda _: next(answers, DeliveryState.DELIVERED)
    enqueue(any_database, a_delivery(topic="first"), a_delivery(topic="second"))
    wait_for(lambda: open_count(any_database) == 0)
    assert receivers.arrived["sink"] == ["first", "second"]
    tries = any_database.read(lambda connection: connection.execute(select(attempts.c.kind)).scalars().all())
    assert sorted(tries) == ["delivered", "delivered", "retry", "retry"]


@pytest.mark.usefixtures("worker")
def test_what_must_not_leave_is_settled_without_being_sent(any_database: Database, receivers: Receivers) -> None:
    receivers.suppressed_topics.add("denied")
    enqueue(any_database, a_delivery(topic="denied"), a_delivery(topic="next"))
    wait_for(lambda: open_count(any_database) == 0)
    assert receivers.arrived["sink"] == ["next"]
    assert row_of(any_database, "denied").state == DeliveryState.SUPPRESSED


@pytest.mark.usefixtures("worker")
def test_a_delivery_that_breaks_the_code_is_put_off_and_others_go(any_database: Database, receivers: Receivers) -> None:
    receivers.broken_topics.add("broken")
    enqueue(any_database, a_delivery("order:1", topic="broken"), a_delivery("order:2", topic="fine"))
    wait_for(lambda: receivers.arrived["sink"] == ["fine"] and row_of(any_database, "broken").attempts == 1)
    row = row_of(any_database, "broken")
    assert (row.state, row.word) == (DeliveryState.DUE, "bug")
    assert row.claimable_at > any_database.now()


@pytest.mark.usefixtures("worker")
def test_a_send_that_breaks_the_code_is_put_off(any_database: Database, receivers: Receivers) -> None:
    def break_down(_: Claimed) -> DeliveryState:
        raise ValueError("cannot be sent")

    receivers.answers["sink"] = break_down
    enqueue(any_database, a_delivery(topic="broken"))
    wait_for(lambda: row_of(any_database, "broken").attempts == 1)
    row = row_of(any_database, "broken")
    assert (row.state, row.word) == (DeliveryState.DUE, "bug")


def test_stopping_gives_back_what_was_not_started(any_database: Database, receivers: Receivers) -> None:
    may_end, has_begun = threading.Event(), threading.Event()

    def hang(_: Claimed) -> DeliveryState:
        has_begun.set()
        may_end.wait(PATIENCE)
        return DeliveryState.DELIVERED

    receivers.answers["sink"] = hang
    enqueue(any_database, *(a_delivery(f"order:{n}", topic=str(n)) for n in range(6)))
    worker = Worker(any_database, receivers, name="w", destination_ids=["sink"], pace=PACE)
    worker.start()
    assert has_begun.wait(PATIENCE)
    threading.Timer(0.3, may_end.set).start()
    worker.stop(within_seconds=PATIENCE)
    rows = _rows(any_database)
    assert {row.state for row in rows} == {DeliveryState.DELIVERED, DeliveryState.DUE}
    assert all(row.attempts == (row.state == DeliveryState.DELIVERED) for row in rows)


def test_stopping_leaves_what_hangs_to_its_lease(any_database: Database, receivers: Receivers) -> None:
    may_end, has_begun = threading.Event(), threading.Event()

    def hang(_: Claimed) -> DeliveryState:
        has_begun.set()
        may_end.wait(PATIENCE)
        return DeliveryState.DELIVERED

    receivers.answers["sink"] = hang
    enqueue(any_database, a_delivery(topic="hanging"))
    worker = Worker(any_database, receivers, name="w", destination_ids=["sink"], pace=PACE)
    worker.start()
    assert has_begun.wait(PATIENCE)
    worker.stop(within_seconds=0.2)
    assert row_of(any_database, "hanging").state == DeliveryState.SENDING
    may_end.set()


def claiming_while_deciding(receivers: Receivers) -> tuple[Worker, threading.Event]:
    """A worker that has claimed a second delivery while the first is being decided, until the event is set."""
    may_end, database = threading.Event(), receivers.database
    receivers.while_deciding = lambda: may_end.wait(PATIENCE)
    worker = Worker(database, receivers, name="w", destination_ids=["sink"], pace=PACE)
    worker.start()
    for number, topic in enumerate(("first", "second")):
        enqueue(database, a_delivery(f"order:{number}", topic=topic))
        wait_for(lambda topic=topic: row_of(database, topic).state == DeliveryState.SENDING)  # type: ignore[misc]
    return worker, may_end


def test_the_next_are_claimed_while_some_are_being_decided(any_database: Database, receivers: Receivers) -> None:
    worker, may_end = claiming_while_deciding(receivers)
    assert receivers.arrived["sink"] == []
    may_end.set()
    wait_for(lambda: open_count(any_database) == 0)
    worker.stop(within_seconds=5)
    assert sorted(receivers.arrived["sink"]) == ["first", "second"]


def test_a_system_without_threads_to_give_holds_up_nothing_for_good(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = threading.Thread.start
    refused: list[str] = []

    def start_unless_of_a_lane(thread: threading.Thread) -> None:
        if thread.name.startswith("sink-") and not refused:
            refused.append(thread.name)
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_unless_of_a_lane)
    database = Database(sqlite_url)
    receivers = Receivers(database)
    worker = Worker(database, receivers, name="w", destination_ids=["sink"], pace=PACE)
    worker.start()
    enqueue(database, a_delivery(topic="first"))
    wait_for(lambda: open_count(database) == 0)
    worker.stop(within_seconds=5)
    assert (receivers.arrived["sink"], refused) == (["first"], ["sink-0"])
    database.close()


def test_what_cannot_be_decided_for_now_is_given_back(any_database: Database, receivers: Receivers) -> None:
    answers = iter([NotRecorded("the database is away"), ValueError("a bug")])

    def fail() -> None:
        if (error := next(answers, None)) is not None:
            raise error

    receivers.while_deciding = fail
    enqueue(any_database, a_delivery("order:1", topic="first"), a_delivery("order:2", topic="second"))
    deliver_all(any_database, receivers)
    assert {row.attempts for row in _rows(any_database)} == {1}
    assert sorted(receivers.arrived["sink"]) == ["first", "second"]


def test_what_waits_to_be_decided_is_given_back_when_it_stops(any_database: Database, receivers: Receivers) -> None:
    worker, may_end = claiming_while_deciding(receivers)
    threading.Timer(0.2, may_end.set).start()
    worker.stop(within_seconds=5)
    assert row_of(any_database, "second").state == DeliveryState.DUE
    assert row_of(any_database, "second").attempts == 0


def test_outcomes_are_written_once_the_database_works_again(sqlite_url: str) -> None:
    database = Forgetful(sqlite_url)
    receivers = Receivers(database)
    receivers.answers["sink"] = database.fail_for_a_while
    enqueue(database, a_delivery(topic="first"), a_delivery(topic="second"))
    deliver_all(database, receivers)
    assert receivers.arrived["sink"] == ["first", "second"]
    assert database.failures > 0
    database.close()


@pytest.mark.parametrize("jump", [timedelta(days=-3), timedelta(hours=3)])
def test_deliveries_go_on_when_the_clock_jumps(sqlite_url: str, jump: timedelta) -> None:
    clock = Clock()
    database = Database(sqlite_url, clock=clock)
    receivers = Receivers(database)
    answers = iter([DeliveryState.DUE])

    def fail_once(_: Claimed) -> DeliveryState:
        answer = next(answers, DeliveryState.DELIVERED)
        if answer is DeliveryState.DUE:
            clock.offset = jump
        return answer

    receivers.answers["sink"] = fail_once
    enqueue(database, a_delivery(topic="first"), a_delivery(topic="second"))
    worker = Worker(database, receivers, name="w", destination_ids=["sink"], pace=PACE)
    worker.start()
    wait_for(lambda: receivers.arrived["sink"] == ["first", "second"])
    worker.stop(within_seconds=5)
    assert open_count(database) == 0
    database.close()


def test_nothing_is_sent_under_a_lease_that_has_ended(sqlite_url: str) -> None:
    clock, sent_in_time = Clock(), []
    database = Database(sqlite_url, clock=clock)
    receivers = Receivers(database)

    def stand_still() -> None:
        clock.offset = timedelta(hours=1)

    def answer(claimed: Claimed) -> DeliveryState:
        sent_in_time.append(clock() < claimed.leased_until)
        return DeliveryState.DELIVERED

    receivers.while_deciding, receivers.answers["sink"] = stand_still, answer
    enqueue(database, a_delivery())
    deliver_all(database, receivers)
    assert sent_in_time == [True]
    database.close()


def test_what_arrived_is_not_sent_again_while_its_outcome_cannot_be_written(sqlite_url: str) -> None:
    clock = Clock()
    database = Unsettled(sqlite_url, clock=clock)
    database.while_failing = lambda: setattr(clock, "offset", timedelta(hours=database.failures - 1))
    receivers = Receivers(database)
    enqueue(database, a_delivery(topic="first"))
    deliver_all(database, receivers)
    assert (receivers.arrived["sink"], row_of(database, "first").attempts) == (["first"], 1)
    database.close()


def test_outcomes_are_written_after_a_bug_too(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    database, broken = Database(sqlite_url), iter([True])
    receivers, write = Receivers(database), Outcomes._write

    def fail_once(outcomes: Outcomes, batch: Sequence[Settled]) -> None:
        if next(broken, False):
            raise ValueError("a bug")
        write(outcomes, batch)

    monkeypatch.setattr(Outcomes, "_write", fail_once)
    enqueue(database, a_delivery(topic="first"))
    deliver_all(database, receivers)
    assert (receivers.arrived["sink"], row_of(database, "first").attempts) == (["first"], 1)
    database.close()


@pytest.mark.usefixtures("worker")
def test_an_outcome_is_written_without_a_detail_that_cannot_be(any_database: Database, receivers: Receivers) -> None:
    receivers.details["first"] = {"removed": object()}
    enqueue(any_database, a_delivery("order:1", topic="first"), a_delivery("order:2", topic="second"))
    wait_for(lambda: open_count(any_database) == 0)
    rows = [row_of(any_database, topic) for topic in ("first", "second")]
    assert [(row.state, row.attempts, row.detail) for row in rows] == [("delivered", 1, None), ("delivered", 1, {})]


def test_a_delivery_that_is_under_way_twice_costs_no_thread(sqlite_url: str) -> None:
    clock, both = Clock(), threading.Barrier(PACE.threads)
    database = Database(sqlite_url, clock=clock)
    receivers = Receivers(database)

    def meet(_: Claimed) -> DeliveryState:
        clock.offset = timedelta(hours=1)
        both.wait(PATIENCE)
        return DeliveryState.DELIVERED

    receivers.answers["sink"] = meet
    enqueue(database, a_delivery())
    worker = Worker(database, receivers, name="w", destination_ids=["sink"], pace=PACE)
    worker.start()
    wait_for(lambda: len(receivers.arrived["sink"]) == 2)
    enqueue(database, a_delivery("order:2"), a_delivery("order:3"))
    wait_for(lambda: len(receivers.arrived["sink"]) == 4)
    worker.stop(within_seconds=5)
    database.close()


def test_retries_are_brought_forward_when_the_clock_is_set_back(sqlite_url: str) -> None:
    clock = Clock()
    database = Database(sqlite_url, clock=clock)
    receivers = Receivers(database)
    worker = Worker(database, receivers, name="w", destination_ids=["sink"], pace=PACE)
    worker.step()
    due_at = clock() + timedelta(minutes=5)
    enqueue(database, a_delivery(state=DeliveryState.HELD, hold_until=due_at, topic="held"))
    clock.offset = timedelta(days=-1)
    worker.step()
    assert abs(row_of(database, "held").claimable_at - (due_at - timedelta(days=1))) < timedelta(seconds=30)
    database.close()


def test_holds_are_brought_forward_when_the_clock_is_set_back(sqlite_url: str) -> None:
    clock = Clock()
    database = Database(sqlite_url, clock=clock)
    worker = Worker(database, Receivers(database), name="w", destination_ids=["sink"], pace=PACE)
    worker.step()
    until, one = clock() + timedelta(minutes=5), a_delivery(topic="first", order_id="1")
    order = {"store_id": one.store_id, "order_id": "1", "origin": "checkout", "seen_at": clock(), "frozen_at": until}
    database.write(lambda connection: connection.execute(insert(orders).values(order)))
    enqueue(database, one, a_delivery(state=DeliveryState.HELD, hold_until=until, topic="follower", order_id="1"))
    clock.offset = timedelta(days=-1)
    worker.step()
    frozen_at = database.read(lambda connection: connection.execute(select(orders.c.frozen_at)).scalar_one())
    for at in (row_of(database, "follower").hold_until, frozen_at):
        assert abs(at - (until - timedelta(days=1))) < timedelta(seconds=30)
    database.close()


def _count(database: Database, state: DeliveryState) -> int:
    return sum(row.state == state for row in _rows(database))


class Clock:
    """A clock that can be set."""

    def __init__(self) -> None:
        self.offset = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.offset


class Forgetful(Database):
    """A database that writes nothing for a moment after something was sent."""

    failures = 0
    _until = 0.0

    def fail_for_a_while(self, _: Claimed) -> DeliveryState:
        self._until = time.monotonic() + 0.3
        return DeliveryState.DELIVERED

    def write(self, job: Callable[..., Any]) -> Any:
        if time.monotonic() < self._until:
            self.failures += 1
            raise NotRecorded("the disk is full")
        return super().write(job)


class Unsettled(Database):
    """A database that takes no outcome at the first two times."""

    failures = 0
    while_failing: Callable[[], object] = staticmethod(lambda: None)

    def write(self, job: Callable[..., Any]) -> Any:
        if getattr(job, "func", None) is settle and self.failures < 2:
            self.failures += 1
            self.while_failing()
            raise NotRecorded("the database is locked")
        return super().write(job)


def _rows(database: Database) -> Sequence[Any]:
    query = select(deliveries).order_by(deliveries.c.id)
    return database.read(lambda connection: connection.execute(query).all())

"""Destinations are paused when they are gone or fail for long, tried again, and resumed; nothing of theirs is lost."""

from datetime import timedelta
from typing import Any

from sqlalchemy import select

from gateway.model.delivery import DeliveryState, OutcomeKind
from gateway.storage.database import Database
from gateway.storage.pausing import FAILURES, PROBE_EVERY, pause, resume
from gateway.storage.tables import deliveries, destinations
from tests.storage.deliveries import LEASE, NOW, SECOND, a_delivery, an_attempt, claim, enqueue, fail, finish, row_of

HOUR = timedelta(hours=1)


def _destination(database: Database) -> Any:
    return database.read(lambda connection: connection.execute(select(destinations)).one_or_none())


def _fail_often(database: Database, *, times: int, every: timedelta) -> None:
    for n in range(times):
        now = NOW + n * every
        fail(database, claim(database, now=now)[0], now=now, again_after=every)


def test_a_paused_destination_gives_nothing_until_it_is_resumed(any_database: Database) -> None:
    enqueue(any_database, a_delivery())
    any_database.write(lambda c: pause(c, "sink", reason="maintenance", now=NOW))
    assert claim(any_database, now=NOW + HOUR) == []
    assert any_database.write(lambda c: resume(c, "sink", now=NOW + HOUR))
    assert len(claim(any_database, now=NOW + HOUR)) == 1


def test_resuming_what_is_not_paused_changes_nothing(any_database: Database) -> None:
    assert not any_database.write(lambda c: resume(c, "sink", now=NOW))


def test_gone_pauses_and_keeps_what_waits(any_database: Database) -> None:
    enqueue(any_database, a_delivery("order:1"), a_delivery("order:2"))
    [first] = claim(any_database, limit=1)
    refused = an_attempt(first, OutcomeKind.REFUSED)
    finish(any_database, first, state=DeliveryState.FAILED, attempt=refused, is_gone=True)
    assert claim(any_database, now=NOW + timedelta(days=2)) == []
    assert (_destination(any_database).reason, _destination(any_database).probe_at) == ("gone", None)


def test_short_trouble_pauses_nothing(any_database: Database) -> None:
    enqueue(any_database, a_delivery())
    _fail_often(any_database, times=FAILURES + 5, every=SECOND)
    row = _destination(any_database)
    assert (row.paused_at, row.failures, row.failing_since) == (None, FAILURES + 5, NOW)


def test_rare_failures_pause_nothing(any_database: Database) -> None:
    enqueue(any_database, a_delivery())
    _fail_often(any_database, times=3, every=HOUR)
    assert _destination(any_database).paused_at is None


def test_long_trouble_pauses(any_database: Database) -> None:
    enqueue(any_database, a_delivery())
    _fail_often(any_database, times=FAILURES, every=HOUR / (FAILURES - 1) + SECOND)
    row = _destination(any_database)
    assert (row.reason, row.probe_at - row.paused_at) == ("failing", PROBE_EVERY)


def test_a_success_forgets_failures(any_database: Database) -> None:
    enqueue(any_database, a_delivery())
    _fail_often(any_database, times=2, every=SECOND)
    finish(any_database, claim(any_database, now=NOW + HOUR)[0], now=NOW + HOUR)
    assert (_destination(any_database).failures, _destination(any_database).failing_since) == (0, None)


def test_one_delivery_tries_a_failing_destination_again(any_database: Database) -> None:
    paused_at = _paused_by_failures(any_database)
    assert claim(any_database, now=paused_at + PROBE_EVERY - SECOND) == []
    probes = claim(any_database, now=paused_at + PROBE_EVERY)
    assert len(probes) == 1
    assert claim(any_database, now=paused_at + PROBE_EVERY + SECOND) == []
    fail(any_database, probes[0], now=paused_at + PROBE_EVERY)
    assert _destination(any_database).probe_at == paused_at + 2 * PROBE_EVERY


def test_a_probe_that_arrives_resumes(any_database: Database) -> None:
    paused_at = _paused_by_failures(any_database)
    [probe] = claim(any_database, now=paused_at + PROBE_EVERY)
    finish(any_database, probe, now=paused_at + PROBE_EVERY)
    assert _destination(any_database).paused_at is None
    assert len(claim(any_database, now=paused_at + PROBE_EVERY + LEASE)) == 2


def test_the_horizon_stands_still_while_paused(any_database: Database) -> None:
    enqueue(any_database, a_delivery(topic="tried"))
    fail(any_database, claim(any_database)[0])
    any_database.write(lambda c: pause(c, "sink", reason="maintenance", now=NOW + SECOND))
    any_database.write(lambda c: resume(c, "sink", now=NOW + SECOND + HOUR))
    assert row_of(any_database, "tried").first_attempt_at == NOW + HOUR


def test_the_horizon_stands_still_for_what_tries_a_paused_destination(any_database: Database) -> None:
    paused_at = _paused_by_failures(any_database)
    later = paused_at + timedelta(days=9)
    [probe] = claim(any_database, now=later)
    stored = select(deliveries.c.first_attempt_at).where(deliveries.c.id == probe.id)
    first_at = any_database.read(lambda c: c.execute(stored).scalar_one())
    assert probe.first_attempt_at == first_at + timedelta(days=9)


def test_pausing_again_keeps_the_time_of_the_first_pause(any_database: Database) -> None:
    any_database.write(lambda c: pause(c, "sink", reason="gone", now=NOW))
    any_database.write(lambda c: pause(c, "sink", reason="maintenance", now=NOW + HOUR))
    assert (_destination(any_database).paused_at, _destination(any_database).reason) == (NOW, "maintenance")


def _paused_by_failures(database: Database) -> Any:
    enqueue(database, *(a_delivery(f"order:{n}") for n in range(3)))
    every = HOUR / (FAILURES - 1) + SECOND
    for n in range(FAILURES):
        now = NOW + n * every
        fail(database, claim(database, limit=1, now=now)[0], now=now, again_after=every)
    return _destination(database).paused_at

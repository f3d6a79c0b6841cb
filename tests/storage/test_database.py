"""Writes are durable when they return, share commits, and spoil nothing for each other."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection, insert, select

from gateway.errors import NotRecorded, StartRefused
from gateway.storage.database import Database, announce_work
from gateway.storage.schema import check_complete
from gateway.storage.tables import facts
from tests.engine.running import wait_for

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def put(name: str) -> Callable[[Connection], str]:
    def job(connection: Connection) -> str:
        connection.execute(insert(facts).values(name=name, value="", updated_at=NOW))
        return name

    return job


def put_together(connection: Connection, names: Sequence[str]) -> Sequence[str | Exception]:
    if "broken" in names:
        raise ValueError("broken")
    connection.execute(insert(facts), [{"name": name, "value": str(len(names)), "updated_at": NOW} for name in names])
    return [LookupError(name) if name.startswith("refused") else name for name in names]


def names(database: Database) -> set[str]:
    return set(database.read(lambda connection: connection.execute(select(facts.c.name)).scalars().all()))


def test_a_write_is_read_back_by_another_connection(any_url: str, any_database: Database) -> None:
    assert any_database.write(put("a")) == "a"
    other = Database(any_url)
    assert names(other) == {"a"}
    other.close()


def test_a_failing_job_leaves_nothing_behind(any_database: Database) -> None:
    def job(connection: Connection) -> None:
        put("a")(connection)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        any_database.write(job)
    assert names(any_database) == set()


def test_many_threads_write_at_once(any_database: Database) -> None:
    with ThreadPoolExecutor(16) as threads:
        assert set(threads.map(lambda n: any_database.write(put(str(n))), range(64))) == names(any_database)


def test_items_that_wait_together_share_a_transaction(any_database: Database) -> None:
    with ThreadPoolExecutor(16) as threads:
        answers = set(threads.map(lambda n: any_database.write_together(put_together, str(n)), range(64)))
    assert answers == names(any_database) == {str(n) for n in range(64)}


def test_what_waits_while_another_commits_is_written_in_one_batch(sqlite_url: str) -> None:
    database = Database(sqlite_url)
    has_begun, may_go = threading.Event(), threading.Event()

    def commits_slowly(_: Connection) -> bool:
        has_begun.set()
        return may_go.wait(30)

    with ThreadPoolExecutor(6) as threads:
        slow = threads.submit(database.write, commits_slowly)
        assert has_begun.wait(30)
        waiting = [threads.submit(database.write_together, put_together, str(n)) for n in range(5)]
        wait_for(lambda: database.waiting_writes == 5, what="five writes")
        may_go.set()
        assert slow.result()
        assert [one.result() for one in waiting] == ["0", "1", "2", "3", "4"]
    sizes = database.read(lambda connection: connection.execute(select(facts.c.value)).scalars().all())
    assert sizes == ["5"] * 5
    database.close()


def test_one_broken_item_spoils_no_other(any_database: Database) -> None:
    items = ["a", "broken", "b", "c"]
    with ThreadPoolExecutor(4) as threads:
        futures = [threads.submit(any_database.write_together, put_together, item) for item in items]
    assert [type(future.exception()) for future in futures] == [type(None), ValueError, type(None), type(None)]
    assert names(any_database) == {"a", "b", "c"}


def test_an_exception_among_the_results_is_raised_for_its_item_alone(any_database: Database) -> None:
    with pytest.raises(LookupError):
        any_database.write_together(put_together, "refused")
    assert names(any_database) == {"refused"}


def test_time_is_aware_and_moves_on(any_database: Database) -> None:
    first = any_database.now()
    assert first.tzinfo is UTC
    assert timedelta(0) <= any_database.now() - first < timedelta(seconds=5)
    assert abs(first - datetime.now(UTC)) < timedelta(seconds=5)


def test_a_given_clock_is_the_time(any_url: str) -> None:
    database = Database(any_url, clock=lambda: NOW)
    assert database.now() == NOW
    database.close()


def test_reading_changes_nothing(sqlite_url: str) -> None:
    database = Database(sqlite_url)
    with pytest.raises(NotRecorded, match="read-only"):
        database.read(put("a"))
    assert names(database) == set()
    database.close()


def test_announced_work_wakes_another_database(any_url: str, any_database: Database) -> None:
    is_sqlite = any_database.is_sqlite
    other = any_database if is_sqlite else Database(any_url)
    other.wait(0 if is_sqlite else 0.5)  # has begun to listen
    other.wait(0.5)  # the first ring stands for what was made before
    any_database.write(announce_work)
    assert other.wait(10)
    if other is not any_database:
        other.close()


def test_a_write_that_makes_no_work_wakes_nobody(any_database: Database) -> None:
    any_database.write(put("a"))
    any_database.wait(0.2)
    assert not any_database.wait(0.05)


def test_a_ring_before_the_wait_is_remembered(any_database: Database) -> None:
    any_database.wake_here()
    assert any_database.wait(10)


def test_recalled_values_are_read_now_and_then(any_database: Database) -> None:
    reads = []

    def job(_: Connection, now: datetime) -> int:
        reads.append(now)
        return len(reads)

    assert [any_database.recall(job, for_seconds=60) for _ in range(3)] == [1, 1, 1]
    assert any_database.recall(job, for_seconds=-1) == 2


def test_writing_after_the_end_is_refused(any_url: str) -> None:
    database = Database(any_url)
    database.close()
    with pytest.raises(NotRecorded, match="stopping"):
        database.write_together(put_together, "late")


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "mysql://host/db", "postgresql+asyncpg://host/db"])
def test_other_databases_are_refused(url: str) -> None:
    with pytest.raises(StartRefused, match=r"database\.url"):
        Database(url)


def test_a_database_without_tables_is_refused_with_what_to_do(bare_postgres_url: str) -> None:
    with closing(Database(bare_postgres_url)) as database, pytest.raises(StartRefused, match="gateway migrate"):
        check_complete(database)

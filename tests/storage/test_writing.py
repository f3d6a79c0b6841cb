"""Group commit: one writer gathers what comes meanwhile, and a second one steps in for one that is held up."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event
from typing import Any

import pytest
from sqlalchemy import Connection

from gateway.errors import NotRecorded
from gateway.storage import writing as writing_module
from gateway.storage.writing import Writers


class Held:
    """Transactions of which the first does not end before it is told to; remembers what each wrote."""

    def __init__(self) -> None:
        self.batches: list[list[Any]] = []
        self.has_begun = Event()
        self.may_end = Event()

    def transact(self, job: Callable[[Any], Any]) -> Any:
        result = job(self)
        self.has_begun.set()
        if len(self.batches) == 1:
            assert self.may_end.wait(10)
        return result


class Failing(Held):
    """The first transaction fails."""

    def transact(self, job: Callable[[Any], Any]) -> Any:
        result = super().transact(job)
        if len(self.batches) == 1:
            raise NotRecorded("the database is locked")
        return result


def write(held: Any, items: Sequence[Any]) -> list[Any]:
    held.batches.append(list(items))
    return list(items)


@contextmanager
def writing(held: Held, *, threads: int) -> Iterator[Callable[[Any], "Future[Any]"]]:
    """Writers whose first transaction is under way, and what hands more to them."""
    writers = Writers(held.transact, threads=threads)
    with ThreadPoolExecutor(64) as pool:
        first = pool.submit(writers.submit, write, "first")
        assert held.has_begun.wait(10)
        yield lambda item: pool.submit(writers.submit, write, item)
        held.may_end.set()
        assert first.result(10) == "first"
    writers.close()


@pytest.mark.parametrize("threads", [1, 2])
def test_everybody_gets_the_answer_to_what_they_handed_over(threads: int) -> None:
    held = Held()
    with writing(held, threads=threads) as submit:
        waiting = [submit(item) for item in range(60)]
        held.may_end.set()
        assert [one.result(10) for one in waiting] == list(range(60))
    assert sorted(str(item) for batch in held.batches for item in batch) == sorted(["first", *map(str, range(60))])


def test_one_that_is_held_up_does_not_hold_up_what_comes_after_it() -> None:
    held = Held()
    with writing(held, threads=2) as submit:
        assert submit("second").result(10) == "second"
    assert held.batches == [["first"], ["second"]]


def test_what_waits_when_writers_close_is_written() -> None:
    held = Held()
    with writing(held, threads=1) as submit:
        last = submit("last")
    assert last.result(10) == "last"
    assert held.batches[-1] == ["last"]


def test_closed_writers_refuse() -> None:
    writers = Writers(Held().transact)
    writers.close()
    with pytest.raises(NotRecorded, match="stopping"):
        writers.submit(write, "late")


@pytest.mark.parametrize(("late_seconds", "refused"), [(0.0, 3), (60.0, 1)])
def test_what_waits_behind_a_failure_that_took_long_is_refused_with_it(
    monkeypatch: pytest.MonkeyPatch, late_seconds: float, refused: int
) -> None:
    monkeypatch.setattr(writing_module, "LATE_SECONDS", late_seconds)
    held = Failing()
    writers = Writers(held.transact)
    told: list[Any] = []
    for item in ("first", "second", "third"):
        writers.submit_then(write, item, told.append)
        assert held.has_begun.wait(10)
    held.may_end.set()
    writers.close()
    assert [isinstance(one, NotRecorded) for one in told] == [True] * refused + [False] * (3 - refused)


def test_one_that_cannot_be_written_spoils_nothing_else() -> None:
    held = Held()

    def picky(connection: Connection, items: Sequence[Any]) -> list[Any]:
        if "bad" in items:
            raise ValueError("bad")
        return write(connection, items)

    writers = Writers(held.transact)
    held.may_end.set()
    with ThreadPoolExecutor(8) as pool:
        answers = [pool.submit(writers.submit, picky, item) for item in ("a", "bad", "b")]
    assert [answers[0].result(), answers[2].result()] == ["a", "b"]
    with pytest.raises(ValueError, match="bad"):
        answers[1].result()
    writers.close()


class Loop(asyncio.SelectorEventLoop):
    """An event loop that counts how often other threads wake it."""

    woken = 0

    def call_soon_threadsafe(self, *arguments: Any, **more: Any) -> asyncio.Handle:  # type: ignore[override]
        self.woken += 1
        return super().call_soon_threadsafe(*arguments, **more)


def test_one_commit_wakes_a_loop_once_whatever_it_ends() -> None:
    held, loop = Held(), Loop()

    async def all_of_them(writers: Writers) -> list[Any]:
        first = writers.submit_soon(write, "first")
        assert held.has_begun.wait(10)
        others = [writers.submit_soon(write, item) for item in range(60)]
        held.may_end.set()
        return list(await asyncio.gather(first, *others))

    writers = Writers(held.transact)
    assert loop.run_until_complete(all_of_them(writers)) == ["first", *range(60)]
    assert loop.woken == len(held.batches)
    assert [len(batch) for batch in held.batches] == [1, 60]
    writers.close()
    loop.close()


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_and_coroutines_share_what_is_written(threads: int) -> None:
    held = Held()

    async def one(hand_over: Callable[[], "asyncio.Future[Any]"]) -> Any:
        return await hand_over()

    writers = Writers(held.transact, threads=threads)
    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(writers.submit, write, "first")
        assert held.has_begun.wait(10)
        second = pool.submit(lambda: asyncio.run(one(lambda: writers.submit_soon(write, "second"))))
        third = pool.submit(writers.submit, write, "third")
        held.may_end.set()
        assert [one.result(10) for one in (first, second, third)] == ["first", "second", "third"]
    writers.close()


def test_a_coroutine_is_told_what_was_wrong_with_its_own_alone() -> None:
    def picky(connection: Connection, items: Sequence[Any]) -> list[Any]:
        del connection
        return [ValueError(item) if item == "bad" else item for item in items]

    async def both(writers: Writers) -> list[Any]:
        handed_over = [writers.submit_soon(picky, item) for item in ("bad", "good")]
        return list(await asyncio.gather(*handed_over, return_exceptions=True))

    held = Held()
    writers = Writers(held.transact)
    bad, good = asyncio.run(both(writers))
    writers.close()
    assert (str(bad), good) == ("bad", "good")
    assert isinstance(bad, ValueError)


def test_coroutines_that_wait_when_writers_close_are_told() -> None:
    held = Held()

    async def close_over(writers: Writers) -> tuple[Any, Any]:
        waiting = writers.submit_soon(write, "first")
        assert held.has_begun.wait(10)
        last = writers.submit_soon(write, "last")
        held.may_end.set()
        await asyncio.to_thread(writers.close)
        with pytest.raises(NotRecorded, match="stopping"):
            writers.submit_soon(write, "late")
        return await waiting, await last

    assert asyncio.run(close_over(Writers(held.transact))) == ("first", "last")


def test_a_loop_that_is_gone_stops_nobody_else() -> None:
    held = Held()

    async def leave(writers: Writers) -> None:
        writers.submit_soon(write, "first")
        assert held.has_begun.wait(10)

    writers = Writers(held.transact)
    asyncio.run(leave(writers))
    held.may_end.set()
    assert writers.submit(write, "next") == "next"
    writers.close()


def test_whoever_is_told_by_the_writer_hears_every_result_and_stops_nobody() -> None:
    held, heard, has_ended = Held(), [], Event()

    def hear(result: Any) -> None:
        heard.append(result)
        if result == "last":
            has_ended.set()
        raise LookupError

    writers = Writers(held.transact)
    held.may_end.set()
    for item in ("first", "second", "last"):
        writers.submit_then(write, item, hear)
    assert has_ended.wait(10)
    writers.close()
    assert heard == ["first", "second", "last"]
    with pytest.raises(NotRecorded, match="stopping"):
        writers.submit_then(write, "late", hear)


def test_nobody_waits_for_a_writer_that_is_not_there() -> None:
    with pytest.raises(RuntimeError, match="forwarded"):
        Writers(lambda _: None, threads=0).submit(lambda _, items: items, "item")

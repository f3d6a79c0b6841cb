"""Group commit: what waits to be written goes into one transaction, and every writer waits for its own commit."""

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final

from sqlalchemy import Connection

from gateway.errors import NotRecorded

_log = logging.getLogger(__name__)

Handler = Callable[[Connection, Sequence[Any]], Sequence[Any]]
Transact = Callable[[Callable[[Connection], Any]], Any]
Hear = Callable[[float, int], None]
_BATCH: Final = 256
_MUCH: Final = 32  # waits before a second writer begins beside the first: few large transactions cost less than many
LATE_SECONDS: Final = 1.0  # what waited behind a transaction that failed after so long is refused with it
_PATIENCE_SECONDS: Final = 0.05  # or it begins when the first has been held up for so long


class Writers:
    """Threads that commit for everybody; with one of them there is a single writer.

    No batch is waited for: the next one gathers while the last is being committed, and further threads only help
    where much waits or that takes long. A batch that fails is run again one by one, so that what cannot be written
    spoils nothing else; handlers may therefore run more than once. Where the database refuses after long, everything
    that waits is refused.
    """

    def __init__(self, transact: Transact, *, threads: int = 1) -> None:
        """Start `threads` threads that run batches by `transact`, which commits and translates failures."""
        self._transact = transact
        self._waiting: deque[_Handed] = deque()
        self._changed = threading.Condition()
        self._is_closing = False
        self._at_work = 0
        self.hear: Hear = lambda _seconds, _batch: None  # is told how long a transaction took, and for how many writes
        self._threads = [threading.Thread(target=self._run, name=f"writer-{n}", daemon=True) for n in range(threads)]
        for thread in self._threads:
            thread.start()

    def submit(self, handler: Handler, item: Any) -> Any:
        """Hand `item` over and wait until it is committed; raises what its handler raised or returned for it."""
        waiting = _Waiting(handler, item)
        self._put(waiting)
        waiting.done.acquire()
        if isinstance(waiting.result, BaseException):
            raise waiting.result
        return waiting.result

    def submit_soon(self, handler: Handler, item: Any) -> "asyncio.Future[Any]":
        """Hand `item` over for a coroutine, which awaits its commit; each commit wakes an event loop once."""
        waiting = _Awaiting(handler, item)
        self._put(waiting)
        return waiting.future

    def submit_then(self, handler: Handler, item: Any, tell: Callable[[Any], None]) -> None:
        """Hand `item` over and return; the writer's thread calls `tell` with the result, or with the error."""
        self._put(_Telling(handler, item, tell))

    def close(self) -> None:
        """Commit what waits, then stop."""
        with self._changed:
            self._is_closing = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    @property
    def depth(self) -> int:
        """How many items wait for a transaction."""
        return len(self._waiting)

    def _put(self, waiting: "_Handed") -> None:
        with self._changed:
            if self._is_closing:
                raise NotRecorded("the gateway is stopping")
            if not self._threads:
                raise RuntimeError("this process writes nothing together: what it writes is forwarded")
            self._waiting.append(waiting)
            if not self._at_work or len(self._waiting) in (1, _MUCH):  # waking somebody for nothing costs time
                self._changed.notify()

    def _run(self) -> None:
        while (batch := self._next_batch()) or not self._is_closing:
            if batch:
                self._commit(batch)
                self._end_work()

    def _next_batch(self) -> "list[_Handed]":
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._is_closing)
            self._changed.wait_for(self._may_begin, _PATIENCE_SECONDS)
            batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), _BATCH))]
            self._at_work += bool(batch)
            return batch

    def _end_work(self) -> None:
        with self._changed:
            self._at_work -= 1

    def _may_begin(self) -> bool:
        return not self._at_work or len(self._waiting) >= _MUCH or self._is_closing

    def _commit(self, batch: "list[_Handed]") -> None:
        began = time.perf_counter()
        try:
            results = self._transact(lambda connection: _run_all(connection, batch))
            self.hear(time.perf_counter() - began, len(batch))
        except NotRecorded as refused:
            if time.perf_counter() - began > LATE_SECONDS:  # a store would not wait as long once more
                batch += self._take_all()
            results = [refused] * len(batch)
        except BaseException as error:  # noqa: BLE001 - whoever waits for it raises it
            results = [error] if len(batch) == 1 else [self._alone(waiting) for waiting in batch]
        for waiting, result in zip(batch, results, strict=True):
            waiting.result = result
        _tell(batch)

    def _take_all(self) -> "list[_Handed]":
        with self._changed:
            waiting = list(self._waiting)
            self._waiting.clear()
            return waiting

    def _alone(self, waiting: "_Handed") -> Any:
        try:
            return self._transact(lambda connection: _run_all(connection, [waiting]))[0]
        except BaseException as error:  # noqa: BLE001 - whoever waits for it raises it
            return error


class _Handed:
    """One item and what became of it."""

    __slots__ = ("handler", "item", "result")

    def __init__(self, handler: Handler, item: Any) -> None:
        self.handler = handler
        self.item = item
        self.result: Any = None


class _Waiting(_Handed):
    """A thread's."""

    __slots__ = ("done",)

    def __init__(self, handler: Handler, item: Any) -> None:
        super().__init__(handler, item)
        self.done = threading.Lock()
        self.done.acquire()


class _Awaiting(_Handed):
    """A coroutine's."""

    __slots__ = ("future",)

    def __init__(self, handler: Handler, item: Any) -> None:
        super().__init__(handler, item)
        self.future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()


class _Telling(_Handed):
    """Whoever is told."""

    __slots__ = ("tell",)

    def __init__(self, handler: Handler, item: Any, tell: Callable[[Any], None]) -> None:
        super().__init__(handler, item)
        self.tell = tell


def _tell(batch: Sequence[_Handed]) -> None:
    awaiting: dict[asyncio.AbstractEventLoop, list[_Awaiting]] = {}
    for waiting in batch:
        if isinstance(waiting, _Waiting):
            waiting.done.release()
        elif isinstance(waiting, _Telling):
            _tell_one(waiting)
        elif isinstance(waiting, _Awaiting):
            awaiting.setdefault(waiting.future.get_loop(), []).append(waiting)
    for loop, told in awaiting.items():
        with suppress(RuntimeError):  # a loop that is closed has nobody left who waits
            loop.call_soon_threadsafe(_wake, told)


def _tell_one(waiting: _Telling) -> None:
    try:
        waiting.tell(waiting.result)
    except Exception:  # noqa: BLE001 - it is recorded; who cannot hear it must not stop the others
        _log.exception("nobody was told of a write")


def _wake(told: Sequence[_Awaiting]) -> None:
    for waiting in told:
        if waiting.future.done():  # nobody waits for it any more
            continue
        if isinstance(waiting.result, BaseException):
            waiting.future.set_exception(waiting.result)
        else:
            waiting.future.set_result(waiting.result)


def _run_all(connection: Connection, batch: Sequence[_Handed]) -> list[Any]:
    by_handler: dict[Handler, list[int]] = {}
    for index, waiting in enumerate(batch):
        by_handler.setdefault(waiting.handler, []).append(index)
    results: list[Any] = [None] * len(batch)
    for handler, indexes in by_handler.items():
        answers = handler(connection, [batch[index].item for index in indexes])
        for index, answer in zip(indexes, answers, strict=True):
            results[index] = answer
    return results

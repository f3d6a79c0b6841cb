"""The database: reads, durable writes, time, and the bell that wakes whoever waits for work."""

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, Final, Protocol, TypeVar

from sqlalchemy import Connection
from sqlalchemy.engine import URL

from gateway.errors import NotRecorded
from gateway.storage.engines import parse_url
from gateway.storage.failures import as_not_recorded
from gateway.storage.forwarding import Forwarded, Forwarding
from gateway.storage.listening import Bell
from gateway.storage.sqlite import Sqlite
from gateway.storage.writing import Writers

T = TypeVar("T")
Item = TypeVar("Item")
Result = TypeVar("Result")
Handler = Callable[[Connection, Sequence[Item]], Sequence[Result | Exception]]

_WAKE: Final = "gateway_wake"
_ENDED: Final = "gateway_ended"
Ended = tuple[str, str, str]  # a delivery's store id, destination id and last state


def announce_work(connection: Connection) -> None:
    """Ring for workers when this transaction has been committed."""
    connection.info[_WAKE] = True


def announce_ended(connection: Connection, ended: Iterable[Ended]) -> None:
    """Tell of deliveries that came to an end without being decided, when this transaction has been committed."""
    connection.info.setdefault(_ENDED, []).extend(ended)


class Backend(Protocol):
    """One kind of database: how it reads, commits and tells the time. Raises what its driver raises."""

    @property
    def bell(self) -> Bell: ...
    @property
    def writers(self) -> int: ...
    def read(self, job: Callable[[Connection], T]) -> T: ...
    def write(self, job: Callable[[Connection], T]) -> T: ...
    def now(self) -> datetime: ...
    def keep_time(self) -> None: ...
    def close(self) -> None: ...


class Database:
    """One database, whichever kind. Every failure of it is raised as NotRecorded, and the next call tries anew.

    Jobs get a connection inside a transaction and may run more than once; they must change nothing but the database.
    """

    def __init__(
        self,
        url: str,
        *,
        clock: Callable[[], datetime] | None = None,
        connections: int = 16,
        forwarding: Forwarding | None = None,
        is_owner: bool = True,
    ) -> None:
        """Open nothing yet; `clock` replaces the database's own time, `connections` counts PostgreSQL's.

        By `forwarding` two processes share an SQLite file, of which the one that is its owner writes for both.
        """
        parsed = parse_url(url)
        self.is_sqlite = parsed.get_backend_name() == "sqlite"
        self.is_refusing = False  # the last write of this process was not recorded
        if not self.is_sqlite:
            self._backend: Backend = _postgres(parsed, connections)
        elif forwarding is None or is_owner:
            self._backend = Sqlite(parsed, forwarding.bell if forwarding else None)
        else:
            self._backend = Forwarded(parsed, forwarding)
        self._clock = clock
        self._hear_refused: Callable[[], None] = lambda: None
        self._hear_ended: Callable[[Sequence[Ended]], None] = lambda _ended: None
        self._memories: dict[Callable[..., Any], _Memory] = {}
        self._writers = Writers(self._transact, threads=self._backend.writers)
        if forwarding is not None and is_owner:
            forwarding.answer(self.write)

    def now(self) -> datetime:
        """Return the time that all processes on this database share."""
        return self._clock() if self._clock else self._refusing(self._backend.now)

    def keep_time(self) -> None:
        """Ask for the time that is shared before `now` has to, which then answers at once."""
        self._refusing(self._backend.keep_time)

    def read(self, job: Callable[[Connection], T]) -> T:
        """Run `job` on a connection that only reads; no lock outlives it."""
        return self._refusing(lambda: self._backend.read(job))

    def recall(self, job: Callable[[Connection, datetime], T], *, for_seconds: float) -> T:
        """Return what `job` read at most so long ago, or while one thread reads it anew; pass the same function."""
        memory = self._memories.get(job) or self._memories.setdefault(job, _Memory())
        value: T = memory.recall(lambda: self.read(lambda connection: job(connection, self.now())), for_seconds)
        return value

    def write(self, job: Callable[[Connection], T]) -> T:
        """Run `job` in a transaction and return once it is on disk."""
        if not self._backend.writers:
            return self._refusing(lambda: self._backend.write(job))
        if not self.is_sqlite:
            return self._transact(job)
        result: T = self._writers.submit(_one_by_one, job)
        return result

    def write_together(self, handler: Handler[Item, Result], item: Item) -> Result:
        """Have `handler` write `item` in one transaction with whatever else waits for the same handler.

        It answers with one result per item, in order; an exception among them is raised for that item alone, with
        the rest committed. Pass the same function object each time.
        """
        result: Result = self._writers.submit(handler, item)
        return result

    async def written_together(self, handler: Handler[Item, Result], item: Item) -> Result:
        """Do as `write_together` does, for a coroutine."""
        result: Result = await self._writers.submit_soon(handler, item)
        return result

    def write_soon(self, handler: Handler[Item, Result], item: Item, tell: Callable[[Any], None]) -> None:
        """Do as `write_together` does, but return at once; the writer tells the result, or the error, to `tell`."""
        self._writers.submit_then(handler, item, tell)

    def wake_here(self) -> None:
        """Wake the worker of this process only."""
        self._backend.bell.ring_here()

    def wait(self, timeout_seconds: float) -> bool:
        """Sleep until there may be something to do; False when the time ran out. For one thread of a process."""
        return self._backend.bell.wait(timeout_seconds)

    def watch_commits(self, hear: Callable[[float, int], None]) -> None:
        """Tell `hear` of every transaction of the writers: how long it took in seconds, and for how many writes."""
        self._writers.hear = hear

    def watch_endings(self, hear: Callable[[Sequence[Ended]], None]) -> None:
        """Tell `hear` of deliveries that came to an end without being decided, by transactions of this process."""
        self._hear_ended = hear

    def watch_refusals(self, hear: Callable[[], None]) -> None:
        """Tell `hear` of every failure of the database that this process meets."""
        self._hear_refused = hear

    @property
    def waiting_writes(self) -> int:
        """How many writes wait for a transaction."""
        return self._writers.depth

    def close(self) -> None:
        """Commit what waits and let go of every connection."""
        self._writers.close()
        self._backend.bell.close()
        self._backend.close()

    def _transact(self, job: Callable[[Connection], T]) -> T:
        try:
            result, has_work, ended = self._refusing(lambda: self._backend.write(lambda one: _watched(one, job)))
        except NotRecorded:
            self.is_refusing = True
            raise
        self.is_refusing = False
        if has_work:
            self._backend.bell.ring()
        if ended:
            self._hear_ended(ended)
        return result

    def _refusing(self, call: Callable[[], T]) -> T:
        try:
            return call()
        except Exception as error:
            refused = as_not_recorded(error)
            if refused is None:
                raise
            self._hear_refused()
            if refused is error:
                raise
            raise refused from error


def _postgres(url: URL, connections: int) -> Backend:
    from gateway.storage.postgres import Postgres  # noqa: PLC0415 - its driver takes 10 MB where nobody needs it

    return Postgres(url, connections=connections)


class _Memory:
    """One value that is read now and then, by one thread while the others go on with the last one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._read_at: float | None = None
        self._value: Any = None

    def recall(self, read: Callable[[], Any], for_seconds: float) -> Any:
        if not self._is_fresh(for_seconds) and self._lock.acquire(blocking=self._read_at is None):
            try:
                if not self._is_fresh(for_seconds):
                    self._value, self._read_at = read(), time.monotonic()
            finally:
                self._lock.release()
        return self._value

    def _is_fresh(self, for_seconds: float) -> bool:
        return self._read_at is not None and time.monotonic() - self._read_at <= for_seconds


def _watched(connection: Connection, job: Callable[[Connection], T]) -> tuple[T, bool, Sequence[Ended]]:
    for announced in (_WAKE, _ENDED):  # by a transaction that failed
        connection.info.pop(announced, None)
    result = job(connection)
    return result, bool(connection.info.pop(_WAKE, False)), connection.info.pop(_ENDED, ())


def _one_by_one(connection: Connection, jobs: Sequence[Callable[[Connection], Any]]) -> list[Any]:
    return [job(connection) for job in jobs]

"""PostgreSQL: transactions that give way and come back, and the server's own time."""

import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final, NamedTuple, TypeVar

import psycopg
from sqlalchemy import Connection, RootTransaction, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import SQLAlchemyError

from gateway.errors import NotRecorded
from gateway.storage.engines import postgres
from gateway.storage.failures import is_disconnect, may_run_again
from gateway.storage.notifying import PostgresBell
from gateway.storage.tables import of_microseconds

T = TypeVar("T")
_TRIES: Final = 8
_RESYNC_SECONDS: Final = 10.0
_TROUBLE_SECONDS: Final = 1.0  # a server that does not answer is asked again after so long
_SURE_SECONDS: Final = 0.1  # an answer that took longer may have been given at any moment since it was asked for
_ASKED_AGAIN: Final = 2
_NOW: Final = text("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint")


class Reading(NamedTuple):
    """What the server said its time was, between two moments of this machine's monotonic clock."""

    began: float
    at: datetime
    ended: float

    @property
    def is_sure(self) -> bool:
        """Whether it was answered so soon that it tells the time well enough."""
        return self.ended - self.began <= _SURE_SECONDS


class Postgres:
    """One PostgreSQL database, shared by any number of processes."""

    writers = 2  # one helps when much waits, or when the other is held up

    def __init__(self, url: URL, *, connections: int) -> None:
        """Connect to nothing yet."""
        self._engine = postgres(url, connections=connections)
        self._reading = self._engine.execution_options(isolation_level="AUTOCOMMIT")
        listening = url.set(drivername="postgresql").render_as_string(hide_password=False)
        self.bell = PostgresBell(self._reading, lambda: psycopg.connect(listening, autocommit=True, connect_timeout=4))
        self._time = SharedTime(lambda: self.read(_read_time))

    def read(self, job: Callable[[Connection], T]) -> T:
        """Run `job`, every statement on what is committed by then; once more where the connection was stale."""
        try:
            return self._read_once(job)
        except SQLAlchemyError as error:
            if not is_disconnect(error):
                raise
        return self._read_once(job)

    def write(self, job: Callable[[Connection], T]) -> T:
        """Run `job` in a transaction and commit; again when it only had to give way to another."""
        for _ in range(_TRIES - 1):
            try:
                return self._write_once(job)
            except SQLAlchemyError as error:
                if not (may_run_again(error) or is_disconnect(error)):
                    raise
        return self._write_once(job)

    def now(self) -> datetime:
        """Return the server's time, which all machines share."""
        return self._time.now()

    def keep_time(self) -> None:
        """Ask the server a while before `now` would."""
        self._time.keep()

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    def _read_once(self, job: Callable[[Connection], T]) -> T:
        with self._reading.connect() as connection:
            return job(connection)

    def _write_once(self, job: Callable[[Connection], T]) -> T:
        with self._engine.connect() as connection:
            with connection.begin() as transaction:
                result = job(connection)
                _commit(transaction)
            return result


def _commit(transaction: RootTransaction) -> None:
    try:
        transaction.commit()
    except SQLAlchemyError as error:
        if is_disconnect(error):  # it may have been recorded: running it again here could record it twice
            raise NotRecorded("the connection to the database was lost during a commit") from error
        raise


def _read_time(connection: Connection) -> Reading:
    began = time.monotonic()
    at = of_microseconds(int(connection.execute(_NOW).scalar_one()))
    return Reading(began, at, time.monotonic())


class SharedTime:
    """The server's time, asked for now and then and carried on by this machine's monotonic clock in between.

    Once it is known only the thread that asks waits for an answer. What comes later counts as later on all machines,
    so an answer that was long under way - the server hung, or this process - says nothing.
    """

    def __init__(self, ask: Callable[[], Reading]) -> None:
        """Learn the time by `ask`, which may wait and may raise."""
        self._ask = ask
        self._lock = threading.Lock()
        self._asked_at = float("-inf")
        self._offset = timedelta()

    def now(self) -> datetime:
        """Return the server's time."""
        self._resync(_RESYNC_SECONDS)
        return of_microseconds(int(time.monotonic() * 1_000_000)) + self._offset

    def keep(self) -> None:
        """Ask a while before `now` would."""
        self._resync(_RESYNC_SECONDS / 4)

    def _resync(self, after_seconds: float) -> None:
        if time.monotonic() - self._asked_at <= after_seconds:
            return
        is_known = self._asked_at != float("-inf")
        if not self._lock.acquire(blocking=not is_known):
            return
        try:
            if time.monotonic() - self._asked_at > after_seconds:
                self._ask_now(is_known=is_known, again_after_seconds=after_seconds)
        finally:
            self._lock.release()

    def _ask_now(self, *, is_known: bool, again_after_seconds: float) -> None:
        # The clocks part slowly, and what was sent has to be written down with some time.
        soon = again_after_seconds - _TROUBLE_SECONDS
        try:
            reading = self._shortest()
        except SQLAlchemyError:
            if not is_known:
                raise
            self._asked_at = time.monotonic() - soon
            return
        if reading.is_sure or not is_known:
            self._offset = reading.at - of_microseconds(int((reading.began + reading.ended) / 2 * 1_000_000))
        self._asked_at = reading.ended if reading.is_sure else time.monotonic() - soon

    def _shortest(self) -> Reading:
        best = self._ask()
        for _ in range(_ASKED_AGAIN):
            if best.is_sure:
                break
            best = min(best, self._ask(), key=lambda one: one.ended - one.began)
        return best

"""Writes forwarded to the process that owns an SQLite file: another one reads the file itself and writes nothing.

What is forwarded is the job: a function of this program with plain arguments, pickled over a pair of sockets that
only the two processes hold. The owner runs it with whatever else waits, in one transaction.
"""

import logging
import pickle
import threading
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection as Line
from multiprocessing.connection import Pipe
from queue import SimpleQueue
from typing import Any, Final, TypeVar

from sqlalchemy import Connection
from sqlalchemy.engine import URL

from gateway.errors import NotRecorded
from gateway.storage.listening import SharedBell
from gateway.storage.sqlite import Sqlite

T = TypeVar("T")
Write = Callable[[Callable[[Connection], Any]], Any]

_log = logging.getLogger(__name__)

_LINES: Final = 3  # a claim, outcomes and what is given back need not wait for each other


class Forwarding:
    """The lines between two processes, made before the one is forked from the other."""

    def __init__(self) -> None:
        """Make the lines and a bell that both hear."""
        self.bell = SharedBell()
        self._pairs = [Pipe() for _ in range(_LINES)]

    def answer(self, write: Write) -> None:
        """In the owner: run what comes in by `write`, which returns when it is on disk."""
        for near, far in self._pairs:
            far.close()
            threading.Thread(target=_answer, args=(near, write), name="forwarded", daemon=True).start()

    def lines(self) -> "SimpleQueue[Line]":
        """In the other process: return its ends, so that it notices when the owner is gone."""
        free: SimpleQueue[Line] = SimpleQueue()
        for near, far in self._pairs:
            near.close()
            free.put(far)
        return free


class Forwarded(Sqlite):
    """An SQLite file as a process sees it that does not own it."""

    writers = 0

    def __init__(self, url: URL, forwarding: Forwarding) -> None:
        """Open nothing yet."""
        super().__init__(url, forwarding.bell)
        self._free = forwarding.lines()

    def write(self, job: Callable[[Connection], T]) -> T:
        """Have the owner run `job`, which must be picklable; raises what that raised."""
        try:
            is_done, result = self._asked(job)
        except (EOFError, OSError) as error:
            raise NotRecorded("the process that owns the database is gone") from error
        if is_done:
            done: T = result
            return done
        if isinstance(result, NotRecorded):
            self.drop()  # it may be another file by now
        raise result

    def _asked(self, job: Callable[[Connection], Any]) -> tuple[bool, Any]:
        asked = pickle.dumps(job)
        line = self._free.get()
        try:
            line.send_bytes(asked)
            answer = line.recv_bytes()
        finally:
            self._free.put(line)
        is_done, result = pickle.loads(answer)  # noqa: S301 - from the process that this one was begun by
        return is_done, result


def _answer(line: Line, write: Write) -> None:
    with suppress(EOFError, OSError):  # the other process is gone, and what it had begun ends by its lease
        while True:
            line.send_bytes(_answered(line.recv_bytes(), write))


def _answered(asked: bytes, write: Write) -> bytes:
    try:
        job = pickle.loads(asked)  # noqa: S301 - from the process that this one began
        return pickle.dumps((True, write(job)))
    except NotRecorded as refused:
        return pickle.dumps((False, refused))
    except Exception as error:  # noqa: BLE001 - told in the log, and raised again by whoever forwarded it
        _log.exception("a write for another process failed")
        return pickle.dumps((False, RuntimeError(type(error).__name__)))  # the error itself may hold anything

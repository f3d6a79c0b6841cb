"""Waking: an event in one process, a pipe between two, LISTEN/NOTIFY between processes that share PostgreSQL."""

import contextlib
import os
import threading
from collections.abc import Callable
from multiprocessing import Pipe
from typing import Final

import psycopg
from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError

_CHANNEL: Final = "gateway_work"
_RETRY_SECONDS: Final = 1.0


class Bell:
    """Rings in this process; one ring before a wait is remembered."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def ring(self) -> None:
        """Wake whoever waits, in any process."""
        self.ring_here()

    def ring_here(self) -> None:
        """Wake whoever waits in this process."""
        self._event.set()

    def wait(self, timeout_seconds: float) -> bool:
        """Return True when it rang, False when the time ran out."""
        rang = self._event.wait(timeout_seconds)
        self._event.clear()
        return rang

    def close(self) -> None:
        """Wake whoever waits for the last time."""
        self.ring_here()


class SharedBell(Bell):
    """Rings in two processes of which one began the other, by a pipe that both hold."""

    def __init__(self) -> None:
        self._heard, self._rope = Pipe(duplex=False)
        for end in (self._heard, self._rope):
            os.set_blocking(end.fileno(), False)

    def ring_here(self) -> None:
        """Wake whoever waits, in either process."""
        with contextlib.suppress(OSError):  # it rings already, or nobody is left to hear it
            os.write(self._rope.fileno(), b"!")

    def wait(self, timeout_seconds: float) -> bool:
        rang = self._heard.poll(timeout_seconds)
        if rang:
            with contextlib.suppress(BlockingIOError):
                os.read(self._heard.fileno(), 65_536)
        return rang


class PostgresBell(Bell):
    """Rings in every process that listens.

    PostgreSQL lets one notifying transaction commit at a time, so that the ring is a transaction of its own, sent
    once for all commits of a moment; whoever misses it finds the work by polling.
    """

    def __init__(self, engine: Engine, connect: Callable[[], psycopg.Connection]) -> None:
        """Ring over `engine`; listen on a connection of its own, once somebody waits."""
        super().__init__()
        self._engine = engine
        self._connect = connect
        self._is_rung = threading.Event()
        self._is_closed = threading.Event()
        self._threads: dict[str, threading.Thread] = {}
        self._lock = threading.Lock()

    def ring(self) -> None:
        self.ring_here()
        self._start("ringing", self._ring_others)
        self._is_rung.set()

    def wait(self, timeout_seconds: float) -> bool:
        self._start("listening", self._listen)
        return super().wait(timeout_seconds)

    def close(self) -> None:
        self._is_closed.set()
        self._is_rung.set()
        if "listening" in self._threads:
            self._notify()  # ends its wait
        super().close()
        for thread in self._threads.values():
            thread.join()

    def _start(self, name: str, run: Callable[[], None]) -> None:
        if name in self._threads:
            return
        with self._lock:
            if name not in self._threads:
                self._threads[name] = threading.Thread(target=run, name=name, daemon=True)
                self._threads[name].start()

    def _ring_others(self) -> None:
        while self._is_rung.wait() and not self._is_closed.is_set():
            self._is_rung.clear()
            self._notify()

    def _notify(self) -> None:
        with contextlib.suppress(SQLAlchemyError), self._engine.connect() as connection:
            connection.execute(text(f"NOTIFY {_CHANNEL}"))

    def _listen(self) -> None:
        while not self._is_closed.is_set():
            with contextlib.suppress(psycopg.Error):
                self._hear()
            self._is_closed.wait(_RETRY_SECONDS)

    def _hear(self) -> None:
        with self._connect() as connection:
            connection.execute(f"LISTEN {_CHANNEL}")
            self.ring_here()  # what was made before this moment was not heard
            while not self._is_closed.is_set():
                for _ in connection.notifies(timeout=_RETRY_SECONDS, stop_after=1):
                    self.ring_here()

"""Waking between processes that share PostgreSQL: LISTEN and NOTIFY."""

import contextlib
import threading
from collections.abc import Callable
from typing import Final

import psycopg
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from gateway.storage.driver import change
from gateway.storage.listening import Bell

_CHANNEL: Final = "gateway_work"
_RETRY_SECONDS: Final = 1.0


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
            change(connection, f"NOTIFY {_CHANNEL}")

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
                with contextlib.closing(connection.notifies(timeout=_RETRY_SECONDS)) as rings:
                    for _ in rings:
                        self.ring_here()
                        if self._is_closed.is_set():
                            break

"""A lane: the threads of one destination, and what waits for them."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final

from gateway.storage.queue import Claimed

_AHEAD_SECONDS: Final = 0.25  # how much work a lane may have before it
_STALE_SECONDS: Final = 2.0  # what waited longer is decided anew
_MOST_AHEAD: Final = 128

_log = logging.getLogger(__name__)


class Lane:
    """The threads of one destination."""

    def __init__(self, name: str, threads: int, send: Callable[[Any, bool], None], freed: Callable[[], None]) -> None:
        """`send` is told whether more waits behind a delivery."""
        self._name = name
        self._most_threads = threads
        self._send = send
        self._freed = freed
        self._changed = threading.Condition()
        self._waiting: deque[tuple[float, Any]] = deque()
        self._stale: list[Claimed] = []
        self._threads: list[threading.Thread] = []
        self._begun: dict[int, float] = {}  # by thread: a delivery whose lease ran out may be under way twice
        self._expected = 0  # claimed and not decided yet
        self._usual_seconds = 1.0
        self._is_closed = False

    @property
    def room(self) -> int:
        """How many more deliveries this lane takes now; nothing until half of its room is free."""
        with self._changed:
            usual_seconds = max(self._usual_seconds, self._held_up_seconds(), 1e-4)
            soon = int(self._most_threads * _AHEAD_SECONDS / usual_seconds)
            most = max(self._most_threads, min(soon, _MOST_AHEAD))
            ahead = len(self._waiting) + self._expected
            free = most - ahead - len(self._begun)
            return free if free * 2 >= most or not ahead else 0

    def _held_up_seconds(self) -> float:
        """For how long no thread has been free."""
        if len(self._begun) < self._most_threads:
            return 0.0
        return time.monotonic() - max(self._begun.values())

    def expect(self, count: int) -> None:
        """Keep room for deliveries that were claimed."""
        with self._changed:
            self._expected += count

    def put(self, prepared: Sequence[Any], *, expected: int) -> None:
        """Take those that may be sent, of as many as were expected."""
        now = time.monotonic()
        with self._changed:
            self._expected -= expected
            self._waiting.extend((now, one) for one in prepared)
            self._add_threads()
            self._changed.notify(len(prepared))
        if len(prepared) < expected and self.room > 0:
            self._freed()

    def close(self) -> list[Claimed]:
        """Start nothing more, and return what had not been started."""
        with self._changed:
            self._is_closed = True
            unsent = [*self._stale, *(prepared.claimed for _, prepared in self._waiting)]
            self._waiting.clear()
            self._changed.notify_all()
        return unsent

    def take_stale(self) -> list[Claimed]:
        """Return what waited here for too long."""
        with self._changed:
            self._set_aside()
            stale, self._stale = self._stale, []
        return stale

    def join(self, timeout_seconds: float) -> None:
        ends_at = time.monotonic() + timeout_seconds
        for thread in self._threads:
            thread.join(max(0.0, ends_at - time.monotonic()))

    def _add_threads(self) -> None:
        try:
            while len(self._begun) + len(self._waiting) > len(self._threads) < self._most_threads:
                name = f"{self._name}-{len(self._threads)}"
                thread = threading.Thread(target=self._run, name=name, daemon=True)
                thread.start()
                self._threads.append(thread)
        except RuntimeError:  # the system has none left: what nobody takes grows stale, and is given back
            _log.exception("%s has %d threads and gets no more", self._name, len(self._threads))

    def _run(self) -> None:
        while (prepared := self._take()) is not None:
            try:
                self._send(prepared, bool(self._waiting))
            except Exception:
                _log.exception("delivery %d was left to its lease", prepared.claimed.id)
            self._done()

    def _take(self) -> Any:
        with self._changed:
            self._set_aside()
            while not self._waiting and not self._is_closed:
                self._changed.wait()
                self._set_aside()
            if not self._waiting:
                return None
            _, prepared = self._waiting.popleft()
            self._begun[threading.get_ident()] = time.monotonic()
            return prepared

    def _done(self) -> None:
        with self._changed:
            seconds = time.monotonic() - self._begun.pop(threading.get_ident())
            self._usual_seconds += 0.2 * (seconds - self._usual_seconds)
        if self.room > 0:
            self._freed()

    def _set_aside(self) -> None:
        """Pass over what waited for too long; the lock is held."""
        oldest = time.monotonic() - _STALE_SECONDS
        while self._waiting and self._waiting[0][0] < oldest:
            self._stale.append(self._waiting.popleft()[1].claimed)

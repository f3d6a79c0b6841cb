"""The delivery loop: claim, prepare, send, settle - and sleep until there is work.

Every destination has a lane of its own, with its own threads, so that one that hangs holds up no other. A lane is
given no more than it can start at once, or soon: by how long sending took lately.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from itertools import zip_longest
from typing import Any, Final, Protocol

from gateway.errors import NotRecorded
from gateway.model.delivery import DeliveryState, OutcomeKind
from gateway.storage import queue
from gateway.storage.database import Database
from gateway.storage.outcomes import Attempt, Settled, settle
from gateway.storage.queue import Claimed

_AHEAD_SECONDS: Final = 0.25  # how much work a lane may have before it
_STALE_SECONDS: Final = 2.0  # what waited longer is decided anew
_MOST_AHEAD: Final = 128
_TOGETHER: Final = 32  # deliveries prepared by one look at what is known
_BATCH: Final = 256
_GATHER: Final = 64  # outcomes that are worth a transaction at once; fewer wait for more to come
_GATHER_SECONDS: Final = 0.02
_APART_SECONDS: Final = 0.005  # from one claim to the next: what comes in between shares the next one
_BUG_DELAY: Final = timedelta(minutes=1)
_TROUBLE_SECONDS: Final = 1.0
_SET_BACK: Final = timedelta(seconds=5)

_log = logging.getLogger(__name__)


class Prepared(Protocol):
    """A delivery that may leave."""

    @property
    def claimed(self) -> Claimed:
        """What was claimed."""
        ...


class Dispatching(Protocol):
    """Decides and sends."""

    def prepare(self, claimed: Sequence[Claimed]) -> Sequence[Any]:
        """Return a Settled or a Prepared for each, in order."""
        ...

    def send(self, prepared: Any) -> Settled:
        """Make one attempt over the network."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How a worker works. `threads` is per destination; a lease must be longer than an attempt takes."""

    threads: int = 4
    poll_seconds: float = 0.2
    lease_seconds: float = 60.0


class Worker:
    """Delivers what is due, until it is told to stop."""

    def __init__(
        self, database: Database, dispatch: Dispatching, *, name: str, destination_ids: Iterable[str], pace: Pace
    ) -> None:
        """`name` tells this worker's claims from those of others."""
        self._database = database
        self._dispatch = dispatch
        self._name = name
        self._pace = pace
        self._lease = timedelta(seconds=pace.lease_seconds)
        self._outcomes = _Outcomes(database)
        self._lanes = {one: _Lane(one, pace.threads, self._send, self._freed) for one in destination_ids}
        self._clock = _Clock(database)
        self._is_stopping = threading.Event()
        self._loop = threading.Thread(target=self._run, name="worker", daemon=True)

    def start(self) -> None:
        """Begin to deliver."""
        self._outcomes.start()
        self._loop.start()

    def stop(self, *, within_seconds: float) -> None:
        """Take nothing new, let what is under way finish, give back the rest; what hangs is left to its lease."""
        ends_at = time.monotonic() + within_seconds
        self._is_stopping.set()
        self._database.wake_here()
        self._loop.join(within_seconds)
        unsent = [claimed for lane in self._lanes.values() for claimed in lane.close()]
        self._give_back(unsent)
        for lane in self._lanes.values():
            lane.join(max(0.0, ends_at - time.monotonic()))
        self._outcomes.stop(max(0.5, ends_at - time.monotonic()))

    def _run(self) -> None:
        while not self._is_stopping.is_set():
            began = time.monotonic()
            try:
                is_busy = self.step()
            except NotRecorded as refused:
                _log.warning("cannot claim: %s", refused)
                self._is_stopping.wait(_TROUBLE_SECONDS)
            except Exception:
                _log.exception("the delivery loop failed and goes on")
                self._is_stopping.wait(_TROUBLE_SECONDS)
            else:
                if not is_busy:
                    self._database.wait(self._pace.poll_seconds)
                self._is_stopping.wait(max(0.0, began + _APART_SECONDS - time.monotonic()))

    def step(self) -> bool:
        """Claim once and hand out what came; False when there was nothing that could be started."""
        self._give_back([claimed for lane in self._lanes.values() for claimed in lane.take_stale()])
        limits = {one: room for one, lane in self._lanes.items() if (room := lane.room) > 0}
        claimed = _by_turns(self._claim(limits)) if limits else []
        for start in range(0, len(claimed), _TOGETHER):
            try:
                self._hand_out(self._prepare(claimed[start : start + _TOGETHER]))
            except NotRecorded:
                self._give_back(claimed[start:])
                raise
        return bool(claimed)

    def _hand_out(self, prepared: Iterable[Any]) -> None:
        settled: list[Settled] = []
        sendable: dict[str, list[Any]] = {}
        for one in prepared:
            if isinstance(one, Settled):
                settled.append(one)
            else:
                sendable.setdefault(one.claimed.destination_id, []).append(one)
        for destination_id, ones in sendable.items():
            self._lanes[destination_id].put(ones)
        if settled:
            self._outcomes.add(settled)

    def _claim(self, limits: dict[str, int]) -> list[Claimed]:
        now = self._clock.now()
        if not self._database.read(lambda connection: queue.has_due(connection, limits, now=now)):
            return []
        return self._database.write(partial(queue.claim, worker=self._name, limits=limits, lease=self._lease, now=now))

    def _prepare(self, claimed: Sequence[Claimed]) -> Sequence[Any]:
        try:
            return self._dispatch.prepare(claimed)
        except NotRecorded:
            raise
        except Exception:
            _log.exception("preparing %d deliveries failed", len(claimed))
            return [self._prepare_alone(one) for one in claimed]

    def _prepare_alone(self, claimed: Claimed) -> Any:
        try:
            return self._dispatch.prepare([claimed])[0]
        except Exception:
            _log.exception("delivery %d cannot be prepared", claimed.id)
            return self._put_off(claimed)

    def _send(self, prepared: Prepared, has_more: bool) -> None:
        claimed = prepared.claimed
        try:
            self._outcomes.add([self._dispatch.send(prepared)], has_more=has_more)
        except Exception:
            _log.exception("delivery %d cannot be sent", claimed.id)
            self._outcomes.add([self._put_off(claimed)])

    def _put_off(self, claimed: Claimed) -> Settled:
        now = self._database.now()
        attempt = Attempt(number=claimed.attempts + 1, at=now, kind=OutcomeKind.RETRY, word="internal_error")
        return Settled(
            delivery_id=claimed.id,
            claim=claimed.claim,
            state=DeliveryState.DUE,
            next_at=now + _BUG_DELAY,
            reason="internal_error",
            attempt=attempt,
        )

    def _give_back(self, claimed: Sequence[Claimed]) -> None:
        if not claimed:
            return
        try:
            self._database.write(partial(queue.give_back, claimed=claimed, now=self._database.now()))
        except NotRecorded as refused:
            _log.warning("cannot give back %d deliveries, their leases will end: %s", len(claimed), refused)

    def _freed(self) -> None:
        self._database.wake_here()


def _by_turns(claimed: Sequence[Claimed]) -> list[Claimed]:
    """Alternate between destinations, so that what is much for one is not prepared before the little of another."""
    by_destination: dict[str, list[Claimed]] = {}
    for one in claimed:
        by_destination.setdefault(one.destination_id, []).append(one)
    return [one for turn in zip_longest(*by_destination.values()) for one in turn if one is not None]


class _Clock:
    """The database's time. Where that is this machine's own, and was set back, what waits is brought forward."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._last: tuple[datetime, float] | None = None

    def now(self) -> datetime:
        now, elapsed = self._database.now(), time.monotonic()
        if self._last is not None and self._database.is_sqlite:
            set_back = self._last[0] + timedelta(seconds=elapsed - self._last[1]) - now
            if set_back > _SET_BACK:
                moved = self._database.write(partial(queue.pull_forward, by=set_back, now=now))
                _log.warning("the clock was set back by %s; %d deliveries were brought forward", set_back, moved)
        self._last = now, elapsed
        return now


class _Lane:
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
        self._begun: dict[int, float] = {}  # deliveries under way, since when
        self._usual_seconds = 1.0
        self._is_closed = False

    @property
    def room(self) -> int:
        """How many more deliveries this lane takes now; nothing until half of its room is free."""
        with self._changed:
            usual_seconds = max(self._usual_seconds, self._held_up_seconds(), 1e-4)
            soon = int(self._most_threads * _AHEAD_SECONDS / usual_seconds)
            most = max(self._most_threads, min(soon, _MOST_AHEAD))
            free = most - len(self._waiting) - len(self._begun)
            return free if free * 2 >= most or not self._waiting else 0

    def _held_up_seconds(self) -> float:
        """For how long no thread has been free."""
        if len(self._begun) < self._most_threads:
            return 0.0
        return time.monotonic() - max(self._begun.values())

    def put(self, prepared: Sequence[Any]) -> None:
        now = time.monotonic()
        with self._changed:
            self._waiting.extend((now, one) for one in prepared)
            while len(self._begun) + len(self._waiting) > len(self._threads) < self._most_threads:
                self._add_thread()
            self._changed.notify(len(prepared))

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

    def _add_thread(self) -> None:
        name = f"{self._name}-{len(self._threads)}"
        self._threads.append(threading.Thread(target=self._run, name=name, daemon=True))
        self._threads[-1].start()

    def _run(self) -> None:
        while (prepared := self._take()) is not None:
            try:
                self._send(prepared, bool(self._waiting))
            except Exception:
                _log.exception("delivery %d was left to its lease", prepared.claimed.id)
            self._done(prepared.claimed.id)

    def _take(self) -> Any:
        with self._changed:
            self._set_aside()
            while not self._waiting and not self._is_closed:
                self._changed.wait()
                self._set_aside()
            if not self._waiting:
                return None
            _, prepared = self._waiting.popleft()
            self._begun[prepared.claimed.id] = time.monotonic()
            return prepared

    def _done(self, delivery_id: int) -> None:
        with self._changed:
            seconds = time.monotonic() - self._begun.pop(delivery_id)
            self._usual_seconds += 0.2 * (seconds - self._usual_seconds)
        if self.room > 0:
            self._freed()

    def _set_aside(self) -> None:
        """Pass over what waited for too long; the lock is held."""
        oldest = time.monotonic() - _STALE_SECONDS
        while self._waiting and self._waiting[0][0] < oldest:
            self._stale.append(self._waiting.popleft()[1].claimed)


class _Outcomes:
    """What became of deliveries, written in batches: one gathers while the last is being committed."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._changed = threading.Condition()
        self._waiting: list[Settled] = []
        self._is_urgent = False
        self._is_closed = False
        self._began = 0.0
        self._gives_up_at = float("inf")
        self._thread = threading.Thread(target=self._run, name="outcomes", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def add(self, settled: Sequence[Settled], *, has_more: bool = False) -> None:
        """Take outcomes; `has_more` says that others will come soon."""
        with self._changed:
            is_first = not self._waiting
            self._waiting.extend(settled)
            self._is_urgent |= not has_more or len(self._waiting) >= _GATHER
            if self._is_urgent or is_first:
                self._changed.notify()

    def stop(self, within_seconds: float) -> None:
        with self._changed:
            self._is_closed = True
            self._gives_up_at = time.monotonic() + within_seconds
            self._changed.notify()
        self._thread.join(within_seconds)

    def _run(self) -> None:
        while batch := self._next_batch():
            self._write(batch)

    def _next_batch(self) -> list[Settled]:
        with self._changed:
            while not self._waiting and not self._is_closed:
                self._changed.wait()
            self._changed.wait_for(lambda: self._is_urgent or self._is_closed, _GATHER_SECONDS)
        self._wait_apart()
        with self._changed:
            batch, self._waiting = self._waiting[:_BATCH], self._waiting[_BATCH:]
            self._is_urgent = bool(self._waiting)
            return batch

    def _wait_apart(self) -> None:
        """Let a moment pass since the last batch, in which more may come."""
        if not self._is_closed:
            time.sleep(max(0.0, self._began + _APART_SECONDS - time.monotonic()))
        self._began = time.monotonic()

    def _write(self, batch: Sequence[Settled]) -> None:
        while time.monotonic() < self._gives_up_at:
            try:
                self._settle(batch)
            except NotRecorded as refused:
                _log.warning("cannot write %d outcomes yet: %s", len(batch), refused)
                time.sleep(min(_TROUBLE_SECONDS, max(0.0, self._gives_up_at - time.monotonic())))
            except Exception:
                _log.exception("cannot write %d outcomes together", len(batch))
                self._write_alone(batch)
                return
            else:
                return

    def _write_alone(self, batch: Sequence[Settled]) -> None:
        for one in batch:
            try:
                self._settle([one])
            except Exception:
                _log.exception("cannot write the outcome of delivery %d; its lease will end", one.delivery_id)

    def _settle(self, batch: Sequence[Settled]) -> None:
        self._database.write(partial(settle, settled=batch, now=self._database.now()))

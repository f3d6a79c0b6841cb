"""The delivery loop: claim, decide, send, settle - and sleep until there is work.

Every destination has a lane of its own, with its own threads, so that one that hangs holds up no other. A lane is
given no more than it can start at once, or soon: by how long sending took lately.
"""

import logging
import threading
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from itertools import zip_longest
from typing import Final, Protocol

from gateway.errors import NotRecorded
from gateway.storage import queue
from gateway.storage.database import Database
from gateway.storage.queue import Claimed
from gateway.worker.lane import Lane
from gateway.worker.outcomes import APART_SECONDS, TROUBLE_SECONDS, Outcomes
from gateway.worker.preparing import Dispatching, Preparing

_SET_BACK: Final = timedelta(seconds=5)

_log = logging.getLogger(__name__)


class Prepared(Protocol):
    """A delivery that may leave."""

    @property
    def claimed(self) -> Claimed:
        """What was claimed."""
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
        self._outcomes = Outcomes(database)
        self._lanes = {one: Lane(one, pace.threads, self._send, self._freed) for one in destination_ids}
        self._clock = _Clock(database)
        self._wants_room = False
        self._is_stopping = threading.Event()
        self._preparing = Preparing(
            dispatch,
            self._lanes,
            self._outcomes,
            is_stopping=self._is_stopping,
            give_back=self._give_back,
        )
        self._loop = threading.Thread(target=self._run, name="worker", daemon=True)

    def start(self) -> None:
        """Begin to deliver."""
        self._outcomes.start()
        self._preparing.start()
        self._loop.start()

    def stop(self, *, within_seconds: float) -> None:
        """Take nothing new, let what is under way finish, give back the rest; what hangs is left to its lease."""
        ends_at = time.monotonic() + within_seconds
        self._is_stopping.set()
        self._database.wake_here()
        self._loop.join(within_seconds)
        self._preparing.stop(max(0.0, ends_at - time.monotonic()))
        unsent = [claimed for lane in self._lanes.values() for claimed in lane.close()]
        self._give_back(unsent)
        for lane in self._lanes.values():
            lane.join(max(0.0, ends_at - time.monotonic()))
        self._outcomes.stop(max(0.5, ends_at - time.monotonic()))

    def _run(self) -> None:
        is_rung = False
        while not self._is_stopping.is_set():
            began = time.monotonic()
            try:
                is_busy = self.step(is_rung=is_rung)
            except NotRecorded as refused:
                _log.warning("cannot claim: %s", refused)
                self._is_stopping.wait(TROUBLE_SECONDS)
            except Exception:
                _log.exception("the delivery loop failed and goes on")
                self._is_stopping.wait(TROUBLE_SECONDS)
            else:
                is_rung = is_busy or self._database.wait(self._pace.poll_seconds)
                self._is_stopping.wait(max(0.0, began + APART_SECONDS - time.monotonic()))

    def step(self, *, is_rung: bool = False) -> bool:
        """Claim once and have it decided; False when no more is due than was taken, or nothing can be started.

        Where nobody rang, it looks whether anything is due before it asks for it.
        """
        if self._outcomes.is_held_up:  # whose leases ended meanwhile may have arrived: that has to be written first
            return False
        self._wants_room = True
        self._give_back([claimed for lane in self._lanes.values() for claimed in lane.take_stale()])
        limits = {one: room for one, lane in self._lanes.items() if (room := lane.room) > 0}
        claimed = _by_turns(self._claim(limits, is_rung=is_rung)) if limits else []
        taken = Counter(one.destination_id for one in claimed)
        self._wants_room = any(taken[one] >= limits.get(one, 0) for one in self._lanes)
        if claimed:
            self._preparing.put(claimed)
        return bool(claimed) and self._wants_room

    def _claim(self, limits: dict[str, int], *, is_rung: bool) -> list[Claimed]:
        now = self._clock.now()
        if not is_rung and not self._database.read(lambda connection: queue.has_due(connection, limits, now=now)):
            return []
        return self._database.write(partial(queue.claim, worker=self._name, limits=limits, lease=self._lease, now=now))

    def _send(self, prepared: Prepared, has_more: bool) -> None:
        claimed = prepared.claimed
        if self._database.now() >= claimed.leased_until:  # this process stood still: somebody else may be sending it
            self._give_back([claimed])
            return
        try:
            self._outcomes.add([self._dispatch.send(prepared)], has_more=has_more)
        except NotRecorded as refused:  # whether it may still leave cannot be asked
            _log.warning("cannot send delivery %d yet: %s", claimed.id, refused)
            self._give_back([claimed])
        except Exception:
            _log.exception("delivery %d cannot be sent", claimed.id)
            self._outcomes.add([self._dispatch.put_off(claimed)])

    def _give_back(self, claimed: Sequence[Claimed]) -> None:
        if not claimed:
            return
        try:
            self._database.write(partial(queue.give_back, claimed=claimed, now=self._database.now()))
        except NotRecorded as refused:
            _log.warning("cannot give back %d deliveries, their leases will end: %s", len(claimed), refused)

    def _freed(self) -> None:
        if self._wants_room:  # else nothing waits for it
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
                seconds = set_back.total_seconds()
                _log.warning("the clock was set back by %d s; %d deliveries were brought forward", seconds, moved)
        self._last = now, elapsed
        return now

"""What was claimed is decided by a thread of its own: while it does, the next claim is on its way."""

import logging
import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, Protocol

from gateway.errors import NotRecorded
from gateway.storage.outcomes import Settled
from gateway.storage.queue import Claimed
from gateway.worker.lane import Lane
from gateway.worker.outcomes import TROUBLE_SECONDS, Outcomes

_TOGETHER: Final = 32  # deliveries prepared by one look at what is known

_log = logging.getLogger(__name__)


class Dispatching(Protocol):
    """Decides and sends."""

    def prepare(self, claimed: Sequence[Claimed]) -> Sequence[Any]:
        """Return a Settled or a Prepared for each, in order."""
        ...

    def send(self, prepared: Any) -> Settled:
        """Make one attempt over the network."""
        ...

    def put_off(self, claimed: Claimed) -> Settled:
        """Say what becomes of a delivery that a bug kept back."""
        ...


class Preparing:
    """Decides claimed deliveries, and hands on what may be sent and what may not."""

    def __init__(
        self,
        dispatch: Dispatching,
        lanes: Mapping[str, Lane],
        outcomes: Outcomes,
        *,
        is_stopping: threading.Event,
        give_back: Callable[[Sequence[Claimed]], None],
    ) -> None:
        """Once it `is_stopping`, everything is given back."""
        self._dispatch = dispatch
        self._lanes = lanes
        self._outcomes = outcomes
        self._give_back = give_back
        self._claimed: queue.Queue[Sequence[Claimed] | None] = queue.Queue(maxsize=1)
        self._is_stopping = is_stopping
        self._thread = threading.Thread(target=self._run, name="preparing", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def put(self, claimed: Sequence[Claimed]) -> None:
        """Take what was claimed; waits while as much waits already. For the thread that claims."""
        for one, count in _counted(claimed).items():
            self._lanes[one].expect(count)
        self._claimed.put(claimed)

    def stop(self, within_seconds: float) -> None:
        """Wait until all that was put is done with; nothing is put any more."""
        ends_at = time.monotonic() + within_seconds
        with suppress(queue.Full):  # it hangs, and what it holds is left to its lease
            self._claimed.put(None, timeout=within_seconds)
            self._thread.join(max(0.0, ends_at - time.monotonic()))

    def _run(self) -> None:
        while (claimed := self._claimed.get()) is not None:
            for start in range(0, len(claimed), _TOGETHER):
                self._prepare(claimed[start : start + _TOGETHER])

    def _prepare(self, claimed: Sequence[Claimed]) -> None:
        prepared: Sequence[Any] = ()
        try:
            prepared = self._decided(claimed)
        except Exception:
            _log.exception("%d deliveries were left to their leases", len(claimed))
        self._hand_on(prepared, _counted(claimed))

    def _decided(self, claimed: Sequence[Claimed]) -> Sequence[Any]:
        """Return what became of deliveries; nothing where they were given back."""
        if not self._is_stopping.is_set():
            try:
                return self._prepared(claimed)
            except NotRecorded as refused:
                _log.warning("cannot decide %d deliveries yet: %s", len(claimed), refused)
                self._is_stopping.wait(TROUBLE_SECONDS)
        self._give_back(claimed)
        return ()

    def _prepared(self, claimed: Sequence[Claimed]) -> Sequence[Any]:
        try:
            return self._dispatch.prepare(claimed)
        except NotRecorded:
            raise
        except Exception:
            _log.exception("preparing %d deliveries failed", len(claimed))
            return [self._prepared_alone(one) for one in claimed]

    def _prepared_alone(self, claimed: Claimed) -> Any:
        try:
            return self._dispatch.prepare([claimed])[0]
        except Exception:
            _log.exception("delivery %d cannot be prepared", claimed.id)
            return self._dispatch.put_off(claimed)

    def _hand_on(self, prepared: Sequence[Any], expected: Mapping[str, int]) -> None:
        settled = [one for one in prepared if isinstance(one, Settled)]
        sendable: dict[str, list[Any]] = {one: [] for one in expected}
        for one in prepared:
            if not isinstance(one, Settled):
                sendable[one.claimed.destination_id].append(one)
        for destination_id, ones in sendable.items():
            self._lanes[destination_id].put(ones, expected=expected[destination_id])
        if settled:
            self._outcomes.add(settled)


def _counted(claimed: Sequence[Claimed]) -> Counter[str]:
    return Counter(one.destination_id for one in claimed)

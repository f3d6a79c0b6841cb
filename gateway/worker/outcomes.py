"""Outcomes: what became of deliveries, on its way into the database."""

import logging
import threading
import time
from collections.abc import Sequence
from functools import partial
from typing import Final

from gateway.errors import NotRecorded
from gateway.storage.database import Database
from gateway.storage.outcomes import Settled, settle

_BATCH: Final = 256
_GATHER: Final = 64  # outcomes that are worth a transaction at once; fewer wait for more to come
_GATHER_SECONDS: Final = 0.02
APART_SECONDS: Final = 0.005  # from one transaction to the next: what comes in between shares it
TROUBLE_SECONDS: Final = 1.0

_log = logging.getLogger(__name__)


class Outcomes:
    """What became of deliveries, written in batches: one gathers while the last is being committed."""

    def __init__(self, database: Database) -> None:
        self.is_held_up = False  # what became of deliveries cannot be written for now
        self._database = database
        self._changed = threading.Condition()
        self._waiting: list[Settled] = []
        self._is_urgent = False
        self._is_closed = False
        self._is_over = False
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
        while not self._is_over:
            try:
                self._write_next()
            except Exception:  # without this thread everything would be sent again after every lease
                _log.exception("outcomes could not be written, and are tried again")
                self.is_held_up = True
                time.sleep(TROUBLE_SECONDS)

    def _write_next(self) -> None:
        batch = self._next_batch()
        try:
            self._write(batch)
        except BaseException:
            with self._changed:
                self._waiting[:0] = batch  # what is written already changes nothing a second time
            raise
        self._is_over = not batch
        self.is_held_up = False

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
            remaining = self._began + APART_SECONDS - time.monotonic()
            time.sleep(min(max(0.0, remaining), APART_SECONDS))
        self._began = time.monotonic()

    def _write(self, batch: Sequence[Settled]) -> None:
        while batch and time.monotonic() < self._gives_up_at:
            try:
                self._settle(batch)
            except NotRecorded as refused:
                self.is_held_up = True
                _log.warning("cannot write %d outcomes yet: %s", len(batch), refused)
                time.sleep(min(TROUBLE_SECONDS, max(0.0, self._gives_up_at - time.monotonic())))
            except Exception:
                self._write_apart(batch)
                return
            else:
                return

    def _write_apart(self, batch: Sequence[Settled]) -> None:
        """Write those that can be written; for where an error is being handled.

        What became of a delivery matters more than why: it is written without its detail before it is left out.
        """
        if len(batch) > 1:
            _log.exception("cannot write %d outcomes together", len(batch))
            for one in batch:
                self._write([one])
        elif batch[0].detail is not None:
            _log.exception("cannot write the detail of delivery %d", batch[0].delivery_id)
            self._write([batch[0]._replace(detail=None)])
        else:
            _log.exception("cannot write the outcome of delivery %d; its lease will end", batch[0].delivery_id)

    def _settle(self, batch: Sequence[Settled]) -> None:
        self._database.write(partial(settle, settled=batch, now=self._database.now()))

"""What history costs: intake, claim and outcome of one order with many stored orders behind it, against few."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from typing import Any, Final

from gateway.bootstrap import build
from gateway.flow.gateway import Gateway
from gateway.storage import queue
from gateway.storage.database import Database
from gateway.storage.migrating import migrate
from gateway.storage.outcomes import Settled, settle
from gateway.storage.queue import Claimed
from tests.bench.bench_pages import POSTGRES, SQLITE, analyze, seed
from tests.fakes import RecordingSender
from tests.shops import Shop, a_woo_order, an_entry, settings_for

FEW, MANY, TIMES, WARM = 10_000, 1_000_000, 300, 30
_LEASE: Final = timedelta(seconds=60)
_numbers = count(2_000_000_000)


@dataclass
class Grown:
    """A gateway with history, and how long each step took there, in seconds."""

    gateway: Gateway
    took: dict[str, list[float]] = field(default_factory=lambda: {"intake": [], "claim": [], "outcome": []})

    def turn(self, *, counts: bool) -> None:
        """Take in, claim and settle one order."""
        shop = Shop(gateway=self.gateway, clock=self.gateway.database.now, sender=None, settings=self.gateway.settings)  # type: ignore[arg-type]
        order = a_woo_order(next(_numbers), an_entry())
        seconds, _ = _timed(lambda: shop.post(order))
        claimed_in, claimed = _timed(self._claim)
        sent = [one if isinstance(one, Settled) else self.gateway.send(one) for one in self.gateway.prepare(claimed)]
        assert len(sent) == 1
        settled_in, _ = _timed(lambda: self._settle(sent))
        if counts:
            for name, took in (("intake", seconds), ("claim", claimed_in), ("outcome", settled_in)):
                self.took[name].append(took)

    def _claim(self) -> list[Claimed]:
        database = self.gateway.database
        limits = dict.fromkeys(self.gateway.targets, 50)
        return database.write(
            lambda connection: queue.claim(connection, worker="bench", limits=limits, lease=_LEASE, now=database.now())
        )

    def _settle(self, done: list[Settled]) -> None:
        database = self.gateway.database
        database.write(lambda connection: settle(connection, done, now=database.now()))


def growth(new_url: Callable[[], str]) -> dict[str, dict[str, float]]:
    """Return the median milliseconds of every step with few and with many orders, and their ratio."""
    few, many = (_grown(new_url(), size) for size in (FEW, MANY))
    for turn in range(WARM + TIMES):
        for one in (few, many):
            one.turn(counts=turn >= WARM)
    for one in (few, many):
        one.gateway.close()
    return {name: _compared(few.took[name], many.took[name]) for name in few.took}


def _grown(url: str, size: int) -> Grown:
    migrate(url)
    is_sqlite = url.startswith("sqlite")
    database = Database(url)
    database.write(lambda connection: seed(connection, SQLITE if is_sqlite else POSTGRES, size))
    database.close()
    if not is_sqlite:
        analyze(url)
    return Grown(build(settings_for(url), sender=RecordingSender(), jitter=lambda: 0.5))


def _compared(few: list[float], many: list[float]) -> dict[str, float]:
    fast, slow = statistics.median(few) * 1000, statistics.median(many) * 1000
    return {"few_ms": round(fast, 3), "many_ms": round(slow, 3), "ratio": slow / fast}


def _timed(step: Callable[[], Any]) -> tuple[float, Any]:
    began = time.perf_counter()
    result = step()
    return time.perf_counter() - began, result

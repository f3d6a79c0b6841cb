"""Processes that answer on one port tell of their work together: whichever is asked adds up what all have counted."""

import os
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

from prometheus_client import generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

_EVERY_SECONDS: Final = 2.0
_ADDED: Final = ("counter", "histogram")


class Together:
    """Puts what this process has counted where its siblings read it, and reads what they have put there."""

    def __init__(self, folder: Path, counted: Callable[[], bytes], *, every_seconds: float = _EVERY_SECONDS) -> None:
        """Begin to put it into `folder`, which belongs to these processes alone."""
        self._own = folder / f"{os.getpid()}.prom"
        self._counted = counted
        self._every_seconds = every_seconds
        self._is_closed = threading.Event()
        self.put()
        threading.Thread(target=self._run, name="together", daemon=True).start()

    def put(self) -> None:
        """Put down what was counted up to now."""
        written = self._own.with_suffix(".new")
        written.write_bytes(self._counted())
        written.replace(self._own)

    def add(self, own: bytes) -> bytes:
        """Return what this process tells, with the counts of its siblings added."""
        others = [path for path in self._own.parent.glob("*.prom") if path != self._own]
        return add_counts(own, [path.read_bytes() for path in others])

    def close(self) -> None:
        """Put nothing down any more."""
        self._is_closed.set()

    def _run(self) -> None:
        while not self._is_closed.wait(self._every_seconds):
            self.put()


def add_counts(own: bytes, others: Iterable[bytes]) -> bytes:
    """Add counters and histograms of others, in Prometheus' text format; gauges stay as this process tells them."""
    families = {family.name: family for family in text_string_to_metric_families(own.decode())}
    for text in others:
        for family in text_string_to_metric_families(text.decode()):
            if family.type in _ADDED:
                mine = families.get(family.name)
                families[family.name] = _sum(mine, family) if mine else family
    return generate_latest(_Told(families.values()))


def _sum(mine: Metric, other: Metric) -> Metric:
    values: dict[tuple[str, frozenset[tuple[str, str]]], float] = {}
    labels: dict[tuple[str, frozenset[tuple[str, str]]], dict[str, str]] = {}
    for sample in (*mine.samples, *other.samples):
        key = sample.name, frozenset(sample.labels.items())
        values[key] = values.get(key, 0.0) + sample.value
        labels[key] = sample.labels
    added = Metric(mine.name, mine.documentation, mine.type)
    for key, value in values.items():
        added.add_sample(key[0], labels[key], value)
    return added


class _Told:
    """What a registry is to whoever writes it down."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Any]:
        return self._families

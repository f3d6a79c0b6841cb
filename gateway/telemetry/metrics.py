"""Metrics for Prometheus: is anything stuck, lost, slow or refused, where, and since when.

Counters and histograms count what this process did; every process exports its own, and Prometheus adds them up.
What lies in the database is read when it is asked for, so any one process tells it.
"""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, TypeVar

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

M = TypeVar("M", Counter, Histogram)

_READ_SECONDS: Final = 8.0  # Prometheus gives up after ten, and then has nothing at all
_COMMIT_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)
_ATTEMPT_SECONDS = (0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_FIRST_ATTEMPT_SECONDS = (*_ATTEMPT_SECONDS, 60, 120, 300, 900, 3600)
_BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """What lies in the database at the moment of asking."""

    rows_waiting: Mapping[tuple[str, str], int] = field(default_factory=dict)  # by destination and state
    oldest_waiting_seconds: Mapping[str, float] = field(default_factory=dict)  # by destination
    paused: Mapping[str, bool] = field(default_factory=dict)  # by destination
    webhook_disabled: Mapping[str, bool] = field(default_factory=dict)  # by store: its webhook is switched off there


def remembered(metric: M) -> Callable[..., M]:
    """Return what gives the child of given label values; the library's own look-up costs more than counting."""
    return lru_cache(maxsize=1024)(metric.labels)


class Metrics:
    """Everything that is counted. Label values are ids from the settings and closed sets of words, nothing else."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        """Count into `registry`, by default one of its own."""
        disable_created_metrics()  # type: ignore[no-untyped-call]  # else every counter is exported twice
        self.registry = registry or CollectorRegistry()
        self._asked = CollectorRegistry()
        self._count_flow()
        self._count_consent()
        self._count_engine()
        ProcessCollector(registry=self.registry)

    def watch(self, read: Callable[[], Backlog], *, within_seconds: float = _READ_SECONDS) -> None:
        """Read the backlog by `read` whenever the metrics are asked for; once."""
        self._asked.register(_BacklogCollector(read, self.errors, within_seconds))

    def render(self) -> bytes:
        """Return everything in Prometheus' text format."""
        return self.counted() + generate_latest(self._asked)

    def counted(self) -> bytes:
        """Return what this process has counted, without a look into the database."""
        return generate_latest(self.registry)

    def _count_flow(self) -> None:
        self.webhooks = self._counter(
            "webhooks", "Store webhooks by what they were answered", "store", "status", "reason"
        )
        self.decisions = self._counter(
            "decisions", "Decisions by what they came to", "store", "destination", "action", "reason"
        )
        self.deliveries = self._counter(
            "deliveries", "Deliveries by the state that they reached", "store", "destination", "state"
        )
        self.attempts = self._counter(
            "attempts", "Attempts by their cause word: ok, http_503, connect_timeout", "store", "destination", "outcome"
        )
        self.leaks = self._counter(
            "leaks", "Denied values found by the egress proof, never sent", "store", "destination"
        )

    def _count_consent(self) -> None:
        self.signals = self._counter("signals", "Consent signals by door and answer", "store", "channel", "status")
        self.events = self._counter("events", "Session events by answer", "store", "status")
        self.requests_refused = self._counter(
            "requests_refused", "Signals, events and calls of the API that were refused", "store", "door", "status"
        )
        self.reconcile_found = self._counter("reconcile_found", "Changes that no webhook had brought", "store")
        self.reconcile_seen = self._counter("reconcile_seen", "Changes that reconciliation looked at", "store")

    def _count_engine(self) -> None:
        self.accept_to_first_attempt = self._histogram(
            "accept_to_first_attempt_seconds", "From a webhook's answer to its first attempt", _FIRST_ATTEMPT_SECONDS
        )
        self.attempt_seconds = self._histogram(
            "attempt_seconds", "How long an attempt took", _ATTEMPT_SECONDS, "destination"
        )
        self.commit_seconds = self._histogram("commit_seconds", "How long a commit took", _COMMIT_SECONDS)
        self.batch_size = self._histogram("batch_size", "Writes that shared one commit", _BATCH_SIZES)
        self.queue_refused = self._counter("queue_refused", "Requests refused because too much was waiting")
        self.errors = self._counter("errors", "Errors inside the gateway", "where")
        self.job_done_at = Gauge(
            "gateway_job_done_timestamp_seconds",
            "When a job of the clock last came to its end in this process",
            ("job",),
            registry=self.registry,
        )

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"gateway_{name}_total", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(f"gateway_{name}", text, labels, buckets=buckets, registry=self.registry)


class _BacklogCollector(Collector):
    """Gauges that are read, not kept; when reading fails or hangs they are absent and an error is counted."""

    def __init__(self, read: Callable[[], Backlog], errors: Counter, within_seconds: float) -> None:
        self._read = read
        self._errors = errors
        self._within_seconds = within_seconds
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="backlog")

    def describe(self) -> Iterator[GaugeMetricFamily]:
        return _gauges(Backlog())

    def collect(self) -> Iterator[GaugeMetricFamily]:
        reading = self._thread.submit(self._read)
        try:
            backlog = reading.result(self._within_seconds)
        except Exception:  # noqa: BLE001 - a database that is gone must not take the other metrics with it
            reading.cancel()
            self._errors.labels("metrics").inc()
            return iter(())
        return _gauges(backlog)


def _gauges(backlog: Backlog) -> Iterator[GaugeMetricFamily]:
    rows = GaugeMetricFamily("gateway_rows_waiting", "Deliveries that wait", labels=("destination", "state"))
    for key, count in backlog.rows_waiting.items():
        rows.add_metric(key, count)
    yield rows
    yield _gauge(
        "oldest_waiting_seconds", "Age of the oldest delivery that waits", "destination", backlog.oldest_waiting_seconds
    )
    yield _gauge("destination_paused", "1: gone, or failing for long; nothing is sent", "destination", backlog.paused)
    yield _gauge("webhook_disabled", "1: the store has switched its webhook off", "store", backlog.webhook_disabled)


def _gauge(name: str, text: str, label: str, values: Mapping[str, float]) -> GaugeMetricFamily:
    gauge = GaugeMetricFamily(f"gateway_{name}", text, labels=(label,))
    for value, number in values.items():
        gauge.add_metric((value,), float(number))
    return gauge

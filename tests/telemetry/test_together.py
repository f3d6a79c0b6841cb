"""Processes behind one port are told as one: counts add up, and gauges are not counted twice."""

from pathlib import Path

from prometheus_client import CollectorRegistry

from gateway.telemetry import Backlog, Metrics, Together
from gateway.telemetry.together import add_counts
from tests.telemetry.test_metrics import exported, touched


class Rendered(Metrics):
    """Metrics that tell what they were given."""

    def __init__(self, text: bytes) -> None:
        super().__init__(CollectorRegistry())
        self._text = text

    def render(self) -> bytes:
        return self._text


def test_counts_and_histograms_add_up_and_gauges_do_not() -> None:
    one, other = touched(), touched()
    other.webhooks.labels(store="other", status="accepted", reason="").inc(3)
    alone, both = exported(one), exported(Rendered(add_counts(one.render(), [other.counted(), other.counted()])))
    assert both["gateway_rows_waiting"] == alone["gateway_rows_waiting"]
    assert both["gateway_batch_size_sum"] == {frozenset(): 21}
    for name, samples in alone.items():
        for labels, value in samples.items():
            expected = value if name in GAUGES else value * 3
            assert both[name][labels] == expected, name
    only_there = frozenset({("store", "other"), ("status", "accepted"), ("reason", "")})
    assert both["gateway_webhooks_total"][only_there] == 6


GAUGES = {
    "gateway_rows_waiting",
    "gateway_oldest_waiting_seconds",
    "gateway_destination_paused",
    "gateway_webhook_disabled",
    "gateway_job_done_timestamp_seconds",
}


def test_alone_it_tells_what_it_told_before() -> None:
    metrics = touched()
    assert exported(Rendered(add_counts(metrics.render(), []))) == exported(metrics)


def test_what_siblings_put_down_is_read_without_asking_their_database(tmp_path: Path) -> None:
    here, there = Metrics(), Metrics()
    there.watch(lambda: Backlog(oldest_waiting_seconds={"container": 1 / 0}))
    there.queue_refused.inc(4)
    here.queue_refused.inc()
    (tmp_path / "1.prom").write_bytes(there.counted())
    together = Together(tmp_path, here.counted, every_seconds=60)
    told = exported(Rendered(together.add(here.render())))
    together.close()
    assert told["gateway_queue_refused_total"] == {frozenset(): 5}
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".prom", ".prom"]

"""Metrics: their names, their labels, and the dashboard that shows them."""

import json
import re
import threading
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from gateway.telemetry import Backlog, Metrics

DASHBOARD = Path(__file__).parents[2] / "docs" / "grafana-dashboard.json"
BACKLOG = Backlog(
    rows_waiting={("container", "due"): 3, ("container", "held"): 1},
    oldest_waiting_seconds={"container": 12.5},
    paused={"container": True, "klaviyo": False},
    webhook_disabled={"acme": False},
)
LABELS = {
    "gateway_webhooks_total": {"store", "status", "reason"},
    "gateway_decisions_total": {"store", "destination", "action", "reason"},
    "gateway_deliveries_total": {"store", "destination", "state"},
    "gateway_attempts_total": {"store", "destination", "outcome"},
    "gateway_leaks_total": {"store", "destination"},
    "gateway_accept_to_first_attempt_seconds": set(),
    "gateway_attempt_seconds": {"destination"},
    "gateway_rows_waiting": {"destination", "state"},
    "gateway_oldest_waiting_seconds": {"destination"},
    "gateway_signals_total": {"store", "channel", "status"},
    "gateway_events_total": {"store", "status"},
    "gateway_requests_refused_total": {"store", "door", "status"},
    "gateway_destination_paused": {"destination"},
    "gateway_commit_seconds": set(),
    "gateway_batch_size": set(),
    "gateway_reconcile_found_total": {"store"},
    "gateway_reconcile_seen_total": {"store"},
    "gateway_webhook_disabled": {"store"},
    "gateway_queue_refused_total": set(),
    "gateway_errors_total": {"where"},
    "gateway_job_done_timestamp_seconds": {"job"},
}


def touched() -> Metrics:
    """Return metrics in which everything has been counted once."""
    metrics = Metrics(CollectorRegistry())
    metrics.watch(lambda: BACKLOG)
    metrics.webhooks.labels(store="acme", status="accepted", reason="").inc()
    metrics.decisions.labels(store="acme", destination="container", action="suppress", reason="some_denied").inc()
    metrics.deliveries.labels(store="acme", destination="container", state="delivered").inc()
    metrics.attempts.labels(store="acme", destination="container", outcome="http_503").inc()
    metrics.leaks.labels(store="acme", destination="container").inc()
    metrics.accept_to_first_attempt.observe(0.01)
    metrics.attempt_seconds.labels(destination="container").observe(0.2)
    metrics.signals.labels(store="acme", channel="browser", status="recorded").inc()
    metrics.events.labels(store="acme", status="queued").inc()
    metrics.requests_refused.labels(store="acme", door="signals", status="forbidden").inc()
    metrics.commit_seconds.observe(0.002)
    metrics.batch_size.observe(7)
    metrics.reconcile_found.labels(store="acme").inc()
    metrics.reconcile_seen.labels(store="acme").inc(5)
    metrics.queue_refused.inc()
    metrics.errors.labels(where="worker").inc()
    metrics.job_done_at.labels(job="sweep").set(1)
    return metrics


def exported(metrics: Metrics) -> dict[str, dict[frozenset[tuple[str, str]], float]]:
    """Return every sample of ours by name and labels."""
    samples: dict[str, dict[frozenset[tuple[str, str]], float]] = {}
    for family in text_string_to_metric_families(metrics.render().decode()):
        for sample in family.samples:
            if sample.name.startswith("gateway_"):
                samples.setdefault(sample.name, {})[frozenset(sample.labels.items())] = sample.value
    return samples


def base_name(name: str) -> str:
    return re.sub(r"_(bucket|sum|count)$", "", name)


def test_every_metric_is_exported_with_its_labels() -> None:
    seen: dict[str, set[str]] = {}
    for name, samples in exported(touched()).items():
        labels = {label for labels in samples for label, _ in labels} - {"le"}
        seen.setdefault(base_name(name), set()).update(labels)
    assert seen == LABELS


def test_values_are_what_was_counted() -> None:
    samples = exported(touched())
    assert samples["gateway_reconcile_seen_total"] == {frozenset({("store", "acme")}): 5}
    assert samples["gateway_batch_size_sum"] == {frozenset(): 7}
    assert samples["gateway_rows_waiting"] == {
        frozenset({("destination", "container"), ("state", "due")}): 3,
        frozenset({("destination", "container"), ("state", "held")}): 1,
    }
    assert samples["gateway_destination_paused"] == {
        frozenset({("destination", "container")}): 1,
        frozenset({("destination", "klaviyo")}): 0,
    }


def test_backlog_is_read_at_every_scrape_and_at_no_other_time() -> None:
    reads: list[int] = []

    def read() -> Backlog:
        reads.append(1)
        return Backlog(oldest_waiting_seconds={"container": len(reads)})

    metrics = Metrics()
    metrics.watch(read)
    assert reads == []
    for expected in (1, 2):
        assert list(exported(metrics)["gateway_oldest_waiting_seconds"].values()) == [expected]


def test_unreadable_database_leaves_the_other_metrics() -> None:
    def read() -> Backlog:
        raise OSError("c4nary")

    metrics = Metrics()
    metrics.watch(read)
    metrics.queue_refused.inc()
    metrics.render()
    samples = exported(metrics)
    assert "gateway_rows_waiting" not in samples
    assert samples["gateway_queue_refused_total"] == {frozenset(): 1}
    assert samples["gateway_errors_total"] == {frozenset({("where", "metrics")}): 1}  # of the scrape before


def test_database_that_hangs_holds_up_no_other_metrics() -> None:
    may_go_on, reads = threading.Event(), list[int]()

    def read() -> Backlog:
        reads.append(1)
        assert may_go_on.wait(20)
        return BACKLOG

    metrics = Metrics()
    metrics.watch(read, within_seconds=0.05)
    during = [exported(metrics) for _ in range(3)]
    may_go_on.set()

    assert all("gateway_rows_waiting" not in samples for samples in during)
    assert during[-1]["gateway_errors_total"] == {frozenset({("where", "metrics")}): 2}  # of those before
    assert (len(reads), "gateway_rows_waiting" in exported(metrics)) == (1, True)


def test_registries_do_not_share_counts() -> None:
    one, other = Metrics(), Metrics()
    one.queue_refused.inc()
    assert exported(other)["gateway_queue_refused_total"] == {frozenset(): 0}


def test_process_is_measured_too() -> None:
    assert b"process_resident_memory_bytes" in Metrics().render()


# The dashboard


def panels() -> list[dict[str, Any]]:
    dashboard: dict[str, Any] = json.loads(DASHBOARD.read_text())
    return list(dashboard["panels"])


def expressions() -> list[str]:
    return [target["expr"] for panel in panels() for target in panel.get("targets", [])]


@pytest.mark.parametrize("expression", expressions())
def test_dashboard_asks_for_metrics_and_labels_that_exist(expression: str) -> None:
    names = {base_name(name) for name in re.findall(r"\bgateway_\w+", expression)}
    assert names
    assert names <= LABELS.keys()
    allowed = set.intersection(*(LABELS[name] for name in names)) | {"le"}
    grouped = {label.strip() for group in re.findall(r"\bby \(([^)]*)\)", expression) for label in group.split(",")}
    selected = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"", expression))
    assert grouped | selected <= allowed


def test_dashboard_shows_every_metric() -> None:
    shown = {base_name(name) for expression in expressions() for name in re.findall(r"\bgateway_\w+", expression)}
    assert shown == LABELS.keys()


def test_legends_name_labels_that_the_query_keeps() -> None:
    for panel in panels():
        for target in panel.get("targets", []):
            wanted = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            kept = {
                label.strip() for group in re.findall(r"\bby \(([^)]*)\)", target["expr"]) for label in group.split(",")
            }
            assert wanted <= kept, panel["title"]


def test_panels_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in panels():
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells
    assert len({panel["id"] for panel in panels()}) == len(panels())

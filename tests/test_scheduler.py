"""What happens by the clock happens in any process, whatever one run brings up, and keeps no process from ending."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway import scheduler
from gateway.bootstrap import build
from gateway.flow.gateway import Gateway
from gateway.model.renewal import Renewal
from gateway.scheduler import JOBS, Scheduler
from gateway.settings import ApiSettings
from tests.fakes import RecordingSender
from tests.shops import settings_for
from tests.store_apis import WooApi


@pytest.fixture
def gateway(sqlite_url: str) -> Iterator[Gateway]:
    built = build(settings_for(sqlite_url, mode="off"), sender=RecordingSender())
    yield built
    built.close()


def test_renewal_that_fell_due_while_nothing_ran_becomes_a_delivery_at_the_start(gateway: Gateway) -> None:
    now = datetime.now(UTC)
    renewal = Renewal(renewal_id="r", origin_order_id="1", event="e", due_at=now + timedelta(milliseconds=300))
    gateway.renewals.schedule("acme", renewal)
    running = Scheduler(gateway)
    running.start()
    try:
        for _ in range(400):
            shown = gateway.renewals.show("acme", "r")
            if shown is not None and shown["state"] == "done":
                break
            threading.Event().wait(0.05)
    finally:
        running.stop()
    assert shown is not None
    assert [one["event_id"] for one in shown["occurrences"]] == ["r:1"]


def test_a_job_that_fails_is_run_again(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[int] = []
    ran_twice = threading.Event()

    def fail(_: Gateway) -> None:
        runs.append(1)
        if len(runs) > 1:
            ran_twice.set()
        raise ZeroDivisionError

    monkeypatch.setattr(scheduler, "JOBS", (("failing", 0.05, fail),))
    running = Scheduler(gateway)
    running.start()
    assert ran_twice.wait(20)
    running.stop()
    assert 'gateway_errors_total{where="clock"}' in gateway.telling.render().decode()


def test_stopping_ends_a_wait_for_a_busy_store(sqlite_url: str) -> None:
    with WooApi(failures=[(429, 50)] * 9) as woo:
        settings = settings_for(sqlite_url)
        store = replace(settings.stores[0], api=ApiSettings(**woo.settings))
        asked = threading.Event()
        woo.before_answer = lambda _: asked.set()
        gateway = build(replace(settings, stores=(store,)), sender=RecordingSender())
        reports: list[Any] = []
        run = threading.Thread(target=lambda: reports.append(gateway.reconcile("acme")))
        run.start()
        assert asked.wait(20)
        gateway.stop_waiting()
        run.join(20)
        assert [report.failure for report in reports] == ["stopping"]
        gateway.close()


def test_every_job_runs_on_an_empty_gateway(gateway: Gateway) -> None:
    for _, _, call in JOBS:
        assert not call(gateway) or call is Gateway.retain

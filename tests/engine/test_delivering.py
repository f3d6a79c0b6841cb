"""`gateway run` delivers in a process of its own: neither outlives the other, and both tell of their work as one."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import requests

from tests.engine.fleet import HURRY
from tests.engine.orders import a_webhook
from tests.engine.running import Gateway, free_port, wait_for
from tests.engine.sink import Sink

FIRST, SECOND = 7001, 7002


@pytest.fixture
def gateway(tmp_path: Path, sink: Sink, sqlite_url: str) -> Iterator[Gateway]:
    gateway = Gateway(tmp_path / "gateway", url=sqlite_url, port=free_port(), sinks={"sink": sink.url}, more=HURRY)
    yield gateway
    gateway.stop()


def delivering(pid: int) -> psutil.Process:
    """The process beside the one that serves."""
    (found,) = psutil.Process(pid).children()
    return found


def test_what_it_delivered_is_counted_at_once(gateway: Gateway, sink: Sink) -> None:
    gateway.start("run")

    gateway.send(a_webhook(FIRST, marketing=True))
    wait_for(lambda: len(sink.taken) == 1, what="a delivery")

    wait_for(lambda: 'gateway_attempts_total{destination="sink"' in metrics(gateway), what="its count", seconds=2)
    assert 'gateway_webhooks_total{reason="",status="accepted"' in metrics(gateway)


def metrics(gateway: Gateway) -> str:
    return requests.get(f"{gateway.address}/metrics", timeout=5).text


def test_when_it_is_killed_both_end_and_a_start_delivers_what_waits(gateway: Gateway, sink: Sink) -> None:
    process = gateway.start("run")
    delivering(process.pid).kill()

    assert process.wait(12) == 1
    gateway.start("run")
    gateway.send(a_webhook(SECOND, marketing=True))

    wait_for(lambda: len(sink.taken) == 1, what="a delivery")
    assert "the delivering process ended" in gateway.logs()


def test_it_ends_with_the_process_that_serves(gateway: Gateway) -> None:
    process = gateway.start("run")
    beside = delivering(process.pid)

    process.kill()
    process.wait()

    assert beside.wait(5) is None or not beside.is_running()


def test_a_signal_to_all_lets_what_is_under_way_finish(gateway: Gateway, sink: Sink) -> None:
    process = gateway.start("run")
    gateway.send(a_webhook(FIRST, marketing=True))

    os.killpg(process.pid, signal.SIGTERM)

    assert process.wait(12) == 0
    assert "error" not in gateway.logs().lower()

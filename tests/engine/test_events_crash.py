"""Events that wait survive a kill -9: granted ones arrive afterwards, denied and unanswered ones never do."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.engine.orders import STORE
from tests.engine.running import Gateway, free_port, wait_for
from tests.engine.sink import Sink
from tests.visitors import a_session, an_event

HURRY = "lease_seconds = 3\ntimeout_seconds = 1\npoll_seconds = 0.1"


@pytest.fixture
def sink() -> Iterator[Sink]:
    sink = Sink()
    yield sink
    sink.close()


@pytest.fixture
def gateway(tmp_path: Path, sink: Sink) -> Iterator[Gateway]:
    url = f"sqlite:///{tmp_path}/gateway.db"
    gateway = Gateway(tmp_path / "gateway", url=url, port=free_port(), sinks={"sink": sink.url}, more=HURRY)
    text = gateway.settings.read_text(encoding="utf-8")
    text = text.replace('topics = ["orders"]', 'topics = ["orders", "events"]')
    gateway.settings.write_text(text.replace('mode = "anonymize"', 'mode = "anonymize"\nevent_ttl_seconds = 900'))
    yield gateway
    gateway.stop()


def says(gateway: Gateway, session: str, *, marketing: bool) -> None:
    body = {"session_id": session, "state": "answered", "categories": {"marketing": marketing, "analytics": False}}
    assert requests.post(f"{gateway.address}/consent/{STORE}", json=body, timeout=10).status_code == 202


def test_waiting_events_survive_a_kill(gateway: Gateway, sink: Sink) -> None:
    process = gateway.start("run")
    token = gateway.run("token", "add", "shop", "--store", STORE).stdout.split()[-1]
    granted, denied, silent, last = (a_session(n) for n in (1, 2, 3, 4))
    names = {granted: "granted", denied: "denied", silent: "silent"}
    events = [an_event(session, event_id=f"{name}-{n}") for n in range(5) for session, name in names.items()]
    events.append(an_event(last, event_id="last"))
    answer = requests.post(
        f"{gateway.address}/api/v1/stores/{STORE}/events",
        json=events,
        headers={"Authorization": f"Bearer {token}"},
        timeout=10,
    )
    assert {one["status"] for one in answer.json()["results"]} == {"queued"}
    says(gateway, denied, marketing=False)
    gateway.kill(process)

    gateway.start("run")
    says(gateway, granted, marketing=True)
    wait_for(lambda: len(sink.taken) >= 5, what="granted events")
    says(gateway, denied, marketing=True)
    says(gateway, last, marketing=True)
    wait_for(lambda: len(sink.taken) >= 6, what="the event that came last")

    arrived = [arrival.order["event_id"] for arrival in sink.taken]
    assert arrived == [*(f"granted-{n}" for n in range(5)), "last"]

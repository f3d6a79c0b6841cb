"""Events that wait survive a kill -9: granted ones arrive afterwards, denied and unanswered ones never do."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.engine.fleet import HURRY
from tests.engine.orders import STORE
from tests.engine.running import Gateway, free_port, wait_for
from tests.engine.sink import Answer, Sink
from tests.visitors import a_session, an_event


@pytest.fixture
def gateway(tmp_path: Path, sink: Sink) -> Iterator[Gateway]:
    url = f"sqlite:///{tmp_path}/gateway.db"
    gateway = Gateway(tmp_path / "gateway", url=url, port=free_port(), sinks={"sink": sink.url}, more=HURRY)
    text = gateway.settings.read_text(encoding="utf-8")
    text = text.replace('topics = ["orders"]', 'topics = ["orders", "events"]')
    gateway.settings.write_text(text.replace('mode = "anonymize"', 'mode = "anonymize"\nevent_ttl_seconds = 900'))
    yield gateway
    gateway.stop()


@pytest.fixture
def patient(gateway: Gateway) -> Gateway:
    """The same, with leases that outlast any test."""
    text = gateway.settings.read_text(encoding="utf-8")
    gateway.settings.write_text(text.replace(HURRY, "lease_seconds = 3600"), encoding="utf-8")
    return gateway


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


def test_what_was_under_way_at_a_kill_goes_on_at_the_next_start(patient: Gateway, sink: Sink) -> None:
    sink.answer = lambda _: Answer.HANG
    process = patient.start("run")
    token = patient.run("token", "add", "shop", "--store", STORE).stdout.split()[-1]
    says(patient, a_session(1), marketing=True)
    requests.post(
        f"{patient.address}/api/v1/stores/{STORE}/events",
        json=an_event(a_session(1), event_id="under-way"),
        headers={"Authorization": f"Bearer {token}"},
        timeout=10,
    )
    wait_for(lambda: len(sink.arrivals) == 1, what="the first attempt")
    patient.kill(process)
    sink.answer = lambda _: Answer.OK

    patient.start("run")
    wait_for(lambda: len(sink.taken) == 1, what="the second attempt")
    [first, second] = sink.arrivals
    assert first.webhook_id == second.webhook_id

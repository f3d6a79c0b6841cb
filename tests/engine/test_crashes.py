"""Real processes, really killed: every order that was answered 200 arrives or has a recorded decision, in order."""

import random
import subprocess
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
import requests
from sqlalchemy import select

from gateway.storage.database import Database
from gateway.storage.tables import deliveries
from tests.engine.orders import Webhook, a_webhook, an_email
from tests.engine.running import Gateway, free_port, wait_for
from tests.engine.sink import Answer, Arrival, Sink

HURRY = "lease_seconds = 3\ntimeout_seconds = 1\npoll_seconds = 0.1"
ORDERS, STEPS = 40, 2
_SENDERS = 4
TROUBLE = (Answer.BUSY, Answer.HANG, Answer.CUT_OFF, Answer.HALF, Answer.GARBAGE, Answer.REDIRECT)


@pytest.fixture
def sink() -> Iterator[Sink]:
    sink = Sink()
    yield sink
    sink.close()


@pytest.fixture
def make(tmp_path: Path, sink: Sink) -> Iterator[Callable[[str], Gateway]]:
    made: list[Gateway] = []

    def make(url: str) -> Gateway:
        sinks = {"sink": sink.url}
        made.append(Gateway(tmp_path / "gateway", url=url, port=free_port(), sinks=sinks, more=HURRY))
        return made[-1]

    yield make
    for gateway in made:
        gateway.stop()


class Shop:
    """Sends the webhooks of its orders from several threads, each order's in order, and again until they are taken."""

    def __init__(self, gateway: Gateway, *, orders: int = ORDERS, first: int = 7_000_001) -> None:
        self.answered: list[Webhook] = []
        self._gateway = gateway
        numbers = range(first, first + orders)
        self.webhooks = [[a_webhook(n, step=step, marketing=n % 2 == 0) for step in range(STEPS)] for n in numbers]
        self._threads = [
            threading.Thread(target=self._send, args=(self.webhooks[k::_SENDERS],)) for k in range(_SENDERS)
        ]

    @property
    def count(self) -> int:
        return sum(len(order) for order in self.webhooks)

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        for thread in self._threads:
            thread.join(120)

    def _send(self, orders: Sequence[Sequence[Webhook]]) -> None:
        with requests.Session() as session:
            for webhook in (webhook for order in orders for webhook in order):
                while self._gateway.send(webhook, session=session) != 200:
                    time.sleep(0.05)
                self.answered.append(webhook)


def assert_nothing_lost(url: str, shops: Sequence[Shop], sink: Sink) -> None:
    """Everything arrived, in order, under one id each, and nothing denied with it."""
    wait_for(lambda: count_open(url) == 0, what="deliveries", seconds=60)
    taken = sink.taken
    steps: defaultdict[str, list[int]] = defaultdict(list)
    ids: defaultdict[tuple[str, int], set[str]] = defaultdict(set)
    for arrival in taken:
        order_id, step = str(arrival.order["id"]), step_of(arrival)
        steps[order_id].append(step)
        ids[order_id, step].add(arrival.webhook_id)
    assert set(ids) == {(one.order_id, one.step) for shop in shops for one in shop.answered}
    assert all(len(one) == 1 for one in ids.values()), "a repeat has the same webhook-id"
    assert all(seen == sorted(seen) for seen in steps.values()), "an order's webhooks arrive in order"
    for arrival in sink.arrivals:
        number = int(str(arrival.order["id"]))
        assert number % 2 == 0 or an_email(number).encode() not in arrival.body, "nothing denied was sent"


def step_of(arrival: Arrival) -> int:
    return int(str(arrival.order["date_modified"])[-2:])


def count_open(url: str) -> int:
    database = Database(url)
    query = select(deliveries.c.id).where(deliveries.c.finished_at.is_(None))
    try:
        return len(database.read(lambda connection: connection.execute(query).all()))
    finally:
        database.close()


def in_trouble(seed: int, *, until: Callable[[], bool]) -> Callable[[int], Answer]:
    """A receiver that fails in every way, now and then, until the trouble is over."""
    dice = random.Random(seed)

    def answer(_: int) -> Answer:
        return Answer.OK if until() or dice.random() < 0.5 else dice.choice(TROUBLE)

    return answer


@pytest.mark.parametrize("kill_at", [1, 40])
def test_one_process_on_sqlite_is_killed(
    make: Callable[[str], Gateway], sink: Sink, sqlite_url: str, kill_at: int
) -> None:
    gateway = make(sqlite_url)
    process = gateway.start("run")
    shop = Shop(gateway)
    sink.answer = in_trouble(kill_at, until=lambda: len(shop.answered) == shop.count)
    shop.start()
    wait_for(lambda: len(shop.answered) >= kill_at, what="answers")
    gateway.kill(process)
    gateway.start("run")
    shop.join()
    assert_nothing_lost(sqlite_url, [shop], sink)


def test_web_and_workers_on_postgres_are_killed(make: Callable[[str], Gateway], sink: Sink, postgres_url: str) -> None:
    gateway = make(postgres_url)
    web, worker, _ = gateway.start("web"), gateway.start("worker"), gateway.start("worker")
    shop = Shop(gateway)
    sink.answer = in_trouble(1, until=lambda: len(shop.answered) == shop.count)
    shop.start()
    wait_for(lambda: len(shop.answered) >= 15, what="answers")
    gateway.kill(worker)
    wait_for(lambda: len(shop.answered) >= 40, what="answers")
    gateway.kill(web)
    gateway.start("web")
    gateway.start("worker")
    shop.join()
    assert_nothing_lost(postgres_url, [shop], sink)


def test_a_second_process_on_the_same_file_refuses_to_start(
    make: Callable[[str], Gateway], sqlite_url: str, sink: Sink, tmp_path: Path
) -> None:
    first = make(sqlite_url)
    first.start("run")
    second = Gateway(tmp_path / "second", url=sqlite_url, port=free_port(), sinks={"sink": sink.url})
    ended = second.run("run")
    assert ended.returncode == 1
    assert "another gateway is running on" in ended.stderr
    assert len(ended.stderr.strip().splitlines()) == 1
    assert first.send(a_webhook(1)) == 200


def test_a_taken_port_is_refused_with_one_line(make: Callable[[str], Gateway], sqlite_url: str, sink: Sink) -> None:
    gateway = make(sqlite_url)
    gateway.port = sink.port
    text = gateway.settings.read_text(encoding="utf-8")
    gateway.settings.write_text(text.replace("[web]\nport = ", f"[web]\nport = {sink.port} # "), encoding="utf-8")
    ended = gateway.run("run")
    assert ended.returncode == 1
    assert f"127.0.0.1:{sink.port} is in use" in ended.stderr


def test_nothing_is_left_when_the_parent_dies(make: Callable[[str], Gateway], sqlite_url: str) -> None:
    gateway = make(sqlite_url)
    process = gateway.start("run")
    process.kill()  # the supervisor alone: its child must not go on with the file
    process.wait()
    wait_for(lambda: not gateway.is_ready, what="the end of the child")
    gateway.start("run")
    assert gateway.send(a_webhook(1)) == 200


@pytest.mark.parametrize("answer", [Answer.OK, Answer.HANG])
def test_sigterm_ends_everything_in_time(
    make: Callable[[str], Gateway], sink: Sink, sqlite_url: str, answer: Answer
) -> None:
    gateway = make(sqlite_url)
    process = gateway.start("run")
    sink.answer = lambda _: answer
    shop = Shop(gateway, orders=10)
    shop.start()
    shop.join()
    process.terminate()
    assert process.wait(10) == 0
    sink.answer = lambda _: Answer.OK
    gateway.start("run")
    assert_nothing_lost(sqlite_url, [shop], sink)


def test_two_thousand_webhooks_pass_through_six_processes_of_which_one_is_cut_off(
    make: Callable[[str], Gateway], sink: Sink, postgres_url: str
) -> None:
    first = make(postgres_url)
    second = Gateway(first.folder / "second", url=postgres_url, port=free_port(), sinks={"sink": sink.url}, more=HURRY)
    for gateway in (first, second):
        gateway.start("web")
    workers = [first.start("worker") for _ in range(4)]
    shops = [Shop(first, orders=500), Shop(second, orders=500, first=8_000_001)]
    for shop in shops:
        shop.start()
    wait_for(lambda: len(sink.taken) >= 300, what="deliveries", seconds=60)
    subprocess.run(["kill", "-STOP", f"-{workers[0].pid}"], check=True)
    for shop in shops:
        shop.join()
    assert_nothing_lost(postgres_url, shops, sink)
    database = Database(postgres_url)
    states = database.read(lambda connection: connection.execute(select(deliveries.c.state)).scalars().all())
    database.close()
    assert list(states) == ["delivered"] * 2000
    subprocess.run(["kill", "-CONT", f"-{workers[0].pid}"], check=True)
    second.stop()

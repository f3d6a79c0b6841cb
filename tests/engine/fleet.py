"""Shops that send, processes on several hosts, one that is cut off, and what has to be so at the end."""

import itertools
import shutil
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final
from urllib.parse import parse_qs, urlsplit

import requests
from sqlalchemy import func, select

from gateway.storage.database import Database
from gateway.storage.tables import deliveries
from tests.engine.orders import Webhook, a_webhook, an_email
from tests.engine.running import ROOT, Gateway, free_port, wait_for
from tests.engine.sink import Arrival, Sink

HURRY: Final = "lease_seconds = 3\ntimeout_seconds = 1\npoll_seconds = 0.1"
ORDERS, STEPS = 40, 2
_SENDERS: Final = 4
_names = itertools.count()


class Shop:
    """Sends the webhooks of its orders from several threads, each order's in order, and again until they are taken."""

    def __init__(self, gateway: Gateway, *, orders: int = ORDERS, first: int = 7_000_001) -> None:
        self.answered: list[Webhook] = []
        self._gateway = gateway
        self.count = orders * STEPS
        numbers = range(first, first + orders)
        self._threads = [
            threading.Thread(target=self._send, args=(numbers[k::_SENDERS],), daemon=True) for k in range(_SENDERS)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def join(self, seconds: float = 120) -> None:
        for thread in self._threads:
            thread.join(seconds)

    def _send(self, numbers: Sequence[int]) -> None:
        with requests.Session() as session:
            for webhook in (a_webhook(n, step=step, marketing=n % 2 == 0) for n in numbers for step in range(STEPS)):
                while self._gateway.send(webhook, session=session) != 200:
                    time.sleep(0.05)
                self.answered.append(webhook)


def assert_nothing_lost(url: str, shops: Sequence[Shop], sink: Sink, *, seconds: float = 60) -> None:
    """Everything arrived, in order, under one id each, and nothing denied with it."""
    wait_for(lambda: count_open(url) == 0, what="deliveries", seconds=seconds)
    steps: defaultdict[str, list[int]] = defaultdict(list)
    ids: defaultdict[tuple[str, int], set[str]] = defaultdict(set)
    for arrival in sink.taken:
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
    return sum(count for state, count in states_of(url).items() if state in {"held", "due", "sending"})


def states_of(url: str) -> dict[str, int]:
    """How many deliveries are in which state."""
    database = Database(url)
    query = select(deliveries.c.state, func.count()).group_by(deliveries.c.state)
    try:
        rows = database.read(lambda connection: connection.execute(query).all())
        return {str(state): int(count) for state, count in rows}
    finally:
        database.close()


def run_six_processes(first: Gateway, sink: Sink, url: str, *, orders: int, cut_after: int, seconds: float) -> str:
    """Two web and four worker processes, one of them cut off in the middle; return in which way it was cut off.

    Every webhook has to be marked delivered once.
    """
    second = Gateway(first.folder / "second", url=url, port=free_port(), sinks={"sink": sink.url}, more=HURRY)
    for gateway in (first, second):
        gateway.start("web")
    for _ in range(3):
        first.start("worker")
    with worker_elsewhere(first, sink, url) as (how, cut_off):
        shops = [Shop(first, orders=orders // 2), Shop(second, orders=orders // 2, first=8_000_001)]
        for shop in shops:
            shop.start()
        wait_for(lambda: len(sink.taken) >= cut_after, what="deliveries", seconds=seconds)
        cut_off()
        for shop in shops:
            shop.join(seconds)
        assert_nothing_lost(url, shops, sink, seconds=seconds)
    second.stop()
    assert states_of(url) == {"delivered": orders * STEPS}
    return how


@contextmanager
def worker_elsewhere(gateway: Gateway, sink: Sink, url: str) -> Iterator[tuple[str, Callable[[], None]]]:
    """Start a worker on a host of its own, and yield what cuts it off: its cable is pulled.

    Where the system allows no network namespaces, it is a process group that is stopped.
    """
    if not may_have_hosts():
        worker = gateway.start("worker")
        yield "stopped", lambda: _signal(worker, "STOP")
        _signal(worker, "CONT")
        return
    with _host() as host, _relayed(host.address, _socket_of(url)) as database, _relayed(host.address, sink.port) as to:
        elsewhere = f"postgresql+psycopg://postgres@{host.address}:{database}/{urlsplit(url).path.lstrip('/')}"
        sinks = {"sink": f"http://{host.address}:{to}/hook"}
        away = Gateway(gateway.folder / "away", url=elsewhere, port=free_port(), sinks=sinks, more=HURRY)
        worker = away.start("worker", within=("ip", "netns", "exec", host.name))
        yield "unplugged", host.unplug
        away.kill(worker)


def may_have_hosts() -> bool:
    """Whether network namespaces may be made here."""
    if not shutil.which("ip"):
        return False
    name = f"gw-probe-{next(_names)}"
    is_made = subprocess.run(["ip", "netns", "add", name], capture_output=True, check=False).returncode == 0
    if is_made:
        subprocess.run(["ip", "netns", "del", name], check=True)
    return is_made


class _Host:
    """A network namespace that is reached over one cable, and reaches this machine at `address`."""

    def __init__(self, number: int) -> None:
        self.name, self._cable = f"gw-host-{number}", f"gwc{number}"
        self.address, self._own = "10.213.77.1", "10.213.77.2"

    def plug(self) -> None:
        far = f"{self._cable}p"
        for words in (
            f"ip netns add {self.name}",
            f"ip link add {self._cable} type veth peer name {far}",
            f"ip link set {far} netns {self.name}",
            f"ip addr add {self.address}/24 dev {self._cable}",
            f"ip link set {self._cable} up",
            f"ip netns exec {self.name} ip addr add {self._own}/24 dev {far}",
            f"ip netns exec {self.name} ip link set {far} up",
            f"ip netns exec {self.name} ip link set lo up",
        ):
            subprocess.run(words.split(), check=True, capture_output=True)

    def unplug(self) -> None:
        """Nothing comes through any more, and nobody is told."""
        subprocess.run(["ip", "link", "set", self._cable, "down"], check=True)

    def remove(self) -> None:
        for words in (f"ip link del {self._cable}", f"ip netns del {self.name}"):
            subprocess.run(words.split(), capture_output=True, check=False)


@contextmanager
def _host() -> Iterator[_Host]:
    host = _Host(next(_names))
    host.remove()
    try:
        host.plug()
        yield host
    finally:
        host.remove()


@contextmanager
def _relayed(address: str, target: int | str) -> Iterator[int]:
    """Listen at `address` for a port of this machine or for a Unix socket, and yield the port."""
    command = [sys.executable, "-m", "tests.engine.relaying", address, str(target)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout
        yield int(process.stdout.readline())
        process.kill()


def _socket_of(url: str) -> str:
    return f"{parse_qs(urlsplit(url).query)['host'][0]}/.s.PGSQL.5432"


def _signal(process: "subprocess.Popen[bytes]", name: str) -> None:
    subprocess.run(["kill", f"-{name}", f"-{process.pid}"], check=True)

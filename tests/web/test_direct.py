"""Webhooks answered in the server's own thread: those that come whole, and nothing else."""

import json
from collections.abc import Callable
from threading import Event, Thread
from typing import Any

import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from gateway.telemetry import Tracer
from gateway.telemetry.exporting import Exporting
from gateway.web import create_front
from gateway.web.asgi import LARGE, SILENCE_SECONDS
from gateway.web.direct import Direct
from gateway.web.front import ANSWER_SECONDS, Front
from tests.engine.running import wait_for
from tests.shops import Shop, a_woo_order
from tests.web.asking import GONE, Asked, a_post, ask, piece
from tests.web.test_webhooks_http import woo_headers


class Clockwork:
    """A loop's clock and timers, wound by hand."""

    def __init__(self) -> None:
        self.now = 0.0
        self.due: list[Callable[[], None]] = []

    def time(self) -> float:
        return self.now

    def call_soon(self, call: Callable[[], None]) -> None:
        self.due.append(call)

    def call_later(self, _: float, call: Callable[[], None]) -> None:
        self.due.append(call)

    def turn(self, seconds: float) -> None:
        self.now += seconds
        due, self.due = self.due, []
        for call in due:
            call()


class Arriving:
    """What the server's `receive` returns."""

    def __init__(self) -> None:
        self.message: dict[str, Any] | None = None
        self.callbacks: list[Callable[[Arriving], None]] = []

    def add_done_callback(self, callback: Callable[["Arriving"], None]) -> None:
        self.callbacks.append(callback)

    def arrive(self, message: dict[str, Any] | None) -> None:
        self.message = message
        for callback in self.callbacks:
            callback(self)

    def cancel(self) -> None:
        self.arrive(None)

    def cancelled(self) -> bool:
        return self.message is None

    def result(self) -> dict[str, Any]:
        assert self.message is not None
        return self.message


class Watcher:
    """One request as the server hands it over: its scope, its protocol, and who is told of its end."""

    def __init__(self, asked: Asked) -> None:
        self.scope = asked.scope
        self.proto = self
        self.received: list[Arriving] = []
        self.sent: list[dict[str, Any]] = []
        self.ends = 0

    def receive(self) -> Arriving:
        self.received.append(Arriving())
        return self.received[-1]

    def send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)

    def done(self) -> None:
        self.ends += 1

    taskref = done

    def err(self, error: Exception) -> None:
        self.ends += 1
        self.error = error

    def answer(self) -> tuple[int, Any]:
        wait_for(lambda: self.ends > 0, what="an answer")
        return self.sent[0]["status"], json.loads(self.sent[1]["body"])


class Server:
    """Begins requests, and keeps those that the front is to answer."""

    def __init__(self, front: Front) -> None:
        self.clockwork = Clockwork()
        self.others: list[Any] = []
        self.direct = Direct(front, self.clockwork, self.others.append)  # type: ignore[arg-type]  # stands for a loop

    def begin(self, asked: Asked) -> Watcher:
        watcher = Watcher(asked)
        self.direct(watcher)
        return watcher


@pytest.fixture
def server(shop: Shop) -> Server:
    front = create_front(shop.gateway, threads=1)
    ask(front, a_signed_post())  # has looked at the database
    return Server(front)


def a_signed_post() -> Asked:
    body = json.dumps(a_woo_order()).encode()
    return a_post(body, woo_headers(body))


def test_whole_body_is_recorded_and_answered_once(shop: Shop, server: Server) -> None:
    asked = a_signed_post()
    watcher = server.begin(asked)
    watcher.received[0].arrive(asked.messages[0])

    assert watcher.answer() == (200, {"status": "accepted", "reason": ""})
    assert (watcher.ends, len(watcher.sent), server.others) == (1, 2, [])
    assert len(shop.deliveries()) == 2


@pytest.mark.parametrize(
    ("body", "code", "status"), [(b"webhook_id=1", 200, "ignored"), (b"{}", 401, "signature")], ids=["ping", "forged"]
)
def test_what_is_not_recorded_is_answered_at_once(server: Server, body: bytes, code: int, status: str) -> None:
    watcher = server.begin(a_post(body, {}))
    watcher.received[0].arrive(piece(body))

    assert watcher.ends == 1
    assert (watcher.answer()[0], watcher.answer()[1]["status"]) == (code, status)


def test_what_cannot_be_recorded_is_to_be_sent_again(shop: Shop, server: Server) -> None:
    asked = a_signed_post()
    watcher = server.begin(asked)
    shop.gateway.database.close()
    watcher.received[0].arrive(asked.messages[0])

    assert (watcher.answer()[0], watcher.answer()[1]["status"]) == (503, "not_recorded")
    assert (b"retry-after", b"30") in watcher.sent[0]["headers"]


@pytest.mark.parametrize("message", [piece(b"{"), GONE, piece(b"", is_last=True)], ids=["piece", "gone", "nothing"])
def test_anything_but_a_whole_body_goes_on_where_it_stands(server: Server, message: dict[str, Any]) -> None:
    watcher = server.begin(a_signed_post())
    watcher.received[0].arrive(message)

    [begun] = server.others
    with pytest.raises(StopIteration) as first:
        begun.proto.receive().send(None)
    assert first.value.value is message
    assert (watcher.ends, begun.scope) == (0, watcher.scope)


@pytest.mark.parametrize(
    "asked",
    [
        Asked(headers=[("Transfer-Encoding", "chunked")]),
        Asked(headers=[("Content-Length", str(LARGE + 1))]),
        Asked(headers=[("Content-Length", "0")]),
        Asked(path="/webhooks/other", headers=[("Content-Length", "2")]),
        Asked(path="/consent/acme", headers=[("Content-Length", "2")]),
        Asked(method="PUT", headers=[("Content-Length", "2")]),
    ],
    ids=["chunks", "large", "empty", "unknown", "other", "method"],
)
def test_everything_else_is_left_to_the_front(server: Server, asked: Asked) -> None:
    watcher = server.begin(asked)

    assert server.others == [watcher]
    assert watcher.received == []


def test_traces_and_a_database_not_looked_at_are_left_to_the_front(shop: Shop, server: Server) -> None:
    unseen = Server(create_front(shop.gateway, threads=1))
    shop_was_seen = server.begin(a_signed_post()).received
    shop.gateway.telling._tracer = Tracer(Exporting(SimpleSpanProcessor(InMemorySpanExporter())))
    traced, unlooked = server.begin(a_signed_post()), unseen.begin(a_signed_post())

    assert len(shop_was_seen) == 1
    assert (server.others, unseen.others) == ([traced], [unlooked])


def test_error_at_the_beginning_is_told_to_the_server(server: Server) -> None:
    watcher = Watcher(a_signed_post())
    del watcher.scope["headers"]
    server.direct(watcher)

    assert (watcher.ends, type(watcher.error)) == (1, KeyError)


def test_sender_that_falls_silent_is_given_up(shop: Shop, server: Server) -> None:
    server.clockwork.turn(0)
    silent = server.begin(a_signed_post())
    server.clockwork.turn(SILENCE_SECONDS - 1)
    late = server.begin(a_signed_post())
    server.clockwork.turn(2)

    code, told = silent.answer()
    assert (code, told["status"]) == (408, "request_timeout")
    assert late.ends == 0
    assert b'{reason="",status="request_timeout",store="acme"} 1' in shop.gateway.telling.metrics.counted()


def test_webhook_that_takes_long_to_record_is_refused_once_and_a_duplicate_later(shop: Shop, server: Server) -> None:
    server.clockwork.turn(0)
    asked, may_go_on = a_signed_post(), Event()
    holding = Thread(target=shop.gateway.database.write, args=(lambda _: may_go_on.wait(10),))
    holding.start()
    late = server.begin(asked)
    late.received[0].arrive(asked.messages[0])
    server.clockwork.turn(ANSWER_SECONDS)
    code, told = late.answer()
    may_go_on.set()
    holding.join()
    again = server.begin(asked)
    again.received[0].arrive(asked.messages[0])

    assert (code, told["status"]) == (503, "not_recorded")
    assert again.answer() == (200, {"status": "duplicate", "reason": ""})
    assert late.ends == 1


def test_many_at_once_are_all_answered(shop: Shop, server: Server) -> None:
    asked = [a_signed_post() for _ in range(20)]
    watchers = [server.begin(one) for one in asked]
    for one, watcher in zip(asked, watchers, strict=True):
        watcher.received[0].arrive(one.messages[0])

    assert [watcher.answer()[0] for watcher in watchers] == [200] * 20
    assert len(shop.deliveries()) == 21

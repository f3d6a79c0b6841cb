"""The server as stores meet it: bodies in every shape, senders that stop, and a stop while webhooks wait."""

import json
import re
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import requests

from tests.engine.fleet import HURRY
from tests.engine.orders import STORE, Webhook, a_webhook
from tests.engine.running import Gateway, free_port, wait_for
from tests.engine.sink import Sink

LIMIT = 400_000
END = b"0\r\n\r\n"  # of a body in chunks


@pytest.fixture
def gateway(tmp_path: Path, sink: Sink, sqlite_url: str) -> Iterator[Gateway]:
    gateway = Gateway(tmp_path / "gateway", url=sqlite_url, port=free_port(), sinks={"sink": sink.url}, more=HURRY)
    text = gateway.settings.read_text(encoding="utf-8")
    gateway.settings.write_text(text.replace("[web]\n", f"[web]\nmax_body_bytes = {LIMIT}\n"), encoding="utf-8")
    gateway.start("run")
    yield gateway
    gateway.stop()


def talk(gateway: Gateway, *parts: bytes, ends: bool = False) -> bytes:
    """Send bytes as they are, and return everything that comes back until the server closes."""
    line = socket.create_connection(("127.0.0.1", gateway.port), timeout=20)
    for part in parts:
        line.sendall(part)
    if ends:
        line.shutdown(socket.SHUT_WR)
    return heard(line)


def head(*lines: str, path: str = f"/webhooks/{STORE}") -> bytes:
    """The beginning of a request on a connection that ends with its answer."""
    return "\r\n".join([f"POST {path} HTTP/1.1", "Host: localhost", "Connection: close", *lines, "", ""]).encode()


def headers_of(webhook: Webhook) -> list[str]:
    return [f"{name}: {value}" for name, value in webhook.headers.items()]


def answers(said: bytes) -> list[tuple[int, str]]:
    """Every answer on a connection: its code and its status."""
    found = re.findall(rb"HTTP/1\.1 (\d+) .*?\r\n\r\n(\{.*?\})", said, re.DOTALL)
    return [(int(code), json.loads(body)["status"]) for code, body in found]


def in_chunks(body: bytes, size: int) -> bytes:
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + END


def test_bodies_come_whole_in_pieces_and_in_chunks(gateway: Gateway, sink: Sink) -> None:
    whole, slow, chunked, large = (a_webhook(n, size=300_000 if n == 4 else 6000) for n in range(1, 5))
    slowly = [slow.body[at : at + 1000] for at in range(0, len(slow.body), 1000)]
    chunks = in_chunks(chunked.body, 700)
    said = [
        talk(gateway, head(*headers_of(whole), f"Content-Length: {len(whole.body)}") + whole.body),
        talk(gateway, head(*headers_of(slow), f"Content-Length: {len(slow.body)}"), *slowly),
        talk(gateway, head(*headers_of(chunked), "Transfer-Encoding: chunked"), chunks[:2000], chunks[2000:]),
        talk(gateway, head(*headers_of(large), f"Content-Length: {len(large.body)}") + large.body),
    ]
    assert [answers(one) for one in said] == [[(200, "accepted")]] * 4
    wait_for(lambda: len(sink.taken) == 4, what="deliveries")


def test_lengths_that_lie_record_nothing(gateway: Gateway) -> None:
    webhook = a_webhook(1)
    headers, body = headers_of(webhook), webhook.body
    short = talk(gateway, head(*headers, f"Content-Length: {len(body) - 1}") + body)
    long = talk(gateway, head(*headers, f"Content-Length: {len(body) + 1}") + body, ends=True)
    cut = talk(gateway, head(*headers, "Transfer-Encoding: chunked") + b"ffff\r\n" + body, ends=True)
    absurd = talk(gateway, head("Content-Length: minus one"))
    assert answers(short)[0] == (401, "signature")
    assert b"accepted" not in long + cut + absurd
    assert gateway.send(webhook) == 200
    assert 'status="accepted",store="acme"} 1.0' in requests.get(f"{gateway.address}/metrics", timeout=5).text


def test_what_is_refused_is_refused_before_its_body_comes(gateway: Gateway) -> None:
    unknown = talk(gateway, head("Content-Length: 300000", path="/webhooks/other"))
    large = talk(gateway, head(f"Content-Length: {LIMIT + 1}"))
    endless = talk(gateway, head("Transfer-Encoding: chunked"), in_chunks(b"x" * (LIMIT + 1), 50_000).removesuffix(END))
    forged = talk(gateway, head("Content-Length: 2"), b"{}")
    assert [answers(one) for one in (unknown, large, endless, forged)] == [
        [(404, "store")],
        [(413, "too_large")],
        [(413, "too_large")],
        [(401, "signature")],
    ]


def test_senders_that_stop_halfway_hold_up_nobody(gateway: Gateway) -> None:
    begun = head("Content-Length: 6000") + b"{"
    elsewhere = head("Content-Length: 6000", path=f"/consent/{STORE}") + b"{"
    lines = [socket.create_connection(("127.0.0.1", gateway.port)) for _ in range(100)]
    for number, line in enumerate(lines):
        line.sendall(begun if number % 2 else elsewhere)
    assert gateway.send(a_webhook(1)) == 200
    assert gateway.is_ready
    for line in lines:
        line.close()
    assert gateway.send(a_webhook(2)) == 200


def test_answers_on_one_connection_come_in_order(gateway: Gateway) -> None:
    ping = b"webhook_id=1"
    both = a_webhook(1).request("localhost") + head(f"Content-Length: {len(ping)}") + ping
    assert answers(talk(gateway, both)) == [(200, "accepted"), (200, "ignored")]


def test_old_protocol_is_spoken_too(gateway: Gateway) -> None:
    """WordPress asks for HTTP/1.0."""
    said = talk(gateway, a_webhook(1).request("localhost").replace(b"HTTP/1.1", b"HTTP/1.0", 1))
    assert (said.split()[1], b'"accepted"' in said) == (b"200", True)


@pytest.mark.parametrize("path", [f"/webhooks/{STORE}/", f"/webhooks//{STORE}", f"/Webhooks/{STORE}", "/webhooks"])
def test_path_that_is_nearly_right_is_no_success_to_a_store(gateway: Gateway, path: str) -> None:
    """WooCommerce takes 301 and 302 for success and does not follow them: its orders would be gone."""
    webhook = a_webhook(1)
    said = talk(gateway, head(*headers_of(webhook), f"Content-Length: {len(webhook.body)}", path=path) + webhook.body)
    assert int(said.split()[1]) == 404


def held(url: str) -> "closing[sqlite3.Connection]":
    """Somebody else who writes to the database, and does not end."""
    other = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    return closing(other)


def sent(gateway: Gateway, *requests: bytes) -> list[socket.socket]:
    """Requests that are under way, each on a line of its own; the server has them."""
    lines = [socket.create_connection(("127.0.0.1", gateway.port), timeout=20) for _ in requests]
    for line, request in zip(lines, requests, strict=True):
        line.sendall(request)
    assert gateway.is_ready
    return lines


def heard(line: socket.socket) -> bytes:
    """Everything that comes back until the server closes."""
    with line:
        return b"".join(iter(lambda: line.recv(65_536), b""))


def closing_request(number: int) -> bytes:
    webhook = a_webhook(number)
    return head(*headers_of(webhook), f"Content-Length: {len(webhook.body)}") + webhook.body


def test_webhooks_that_wait_together_share_commits(gateway: Gateway, sqlite_url: str) -> None:
    with held(sqlite_url) as other:
        lines = sent(gateway, *map(closing_request, range(1, 65)))
        other.rollback()
        assert [answers(heard(line)) for line in lines] == [[(200, "accepted")]] * 64
    told = requests.get(f"{gateway.address}/metrics", timeout=5).text
    commits = [float(line.split()[1]) for line in told.splitlines() if line.startswith("gateway_batch_size_count")]
    assert commits < [32]


def test_webhook_that_waits_too_long_is_to_be_sent_again(gateway: Gateway, sqlite_url: str) -> None:
    with held(sqlite_url):
        [line] = sent(gateway, closing_request(1))
        said = heard(line)
    assert answers(said) == [(503, "not_recorded")]
    assert b"\r\nretry-after: 30\r\n" in said
    assert answers(talk(gateway, closing_request(1))) == [(200, "accepted")]


def answers_others(gateway: Gateway) -> bool:
    try:
        return requests.get(f"{gateway.address}/healthz", timeout=0.2).ok
    except requests.RequestException:
        return False


def test_sigterm_answers_webhooks_that_wait(gateway: Gateway, sqlite_url: str) -> None:
    with held(sqlite_url) as other:
        lines = sent(gateway, *map(closing_request, range(1, 9)))
        gateway.processes[0].terminate()
        wait_for(lambda: not answers_others(gateway), what="the end of listening")
        other.rollback()
        assert [answers(heard(line)) for line in lines] == [[(200, "accepted")]] * 8
    assert gateway.processes[0].wait(10) == 0


def test_the_server_is_known_inside(gateway: Gateway) -> None:
    assert gateway.send(a_webhook(1, marketing=True)) == 200

    assert "not known inside" not in gateway.logs()


def test_a_server_that_is_not_known_inside_answers_as_well(gateway: Gateway, sink: Sink) -> None:
    gateway.stop()
    gateway.start("run", module="tests.engine.unknown_server")

    assert gateway.send(a_webhook(1, marketing=True)) == 200

    wait_for(lambda: len(sink.taken) == 1, what="a delivery")
    assert "not known inside" in gateway.logs()

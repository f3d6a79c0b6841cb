"""Calls per second through the door, against a `requests` session as it comes.

`python -m tests.bench.bench_send [--rounds 3] [--seconds 2] [--json FILE]`; the receiver runs in a process of its own
and answers 204. Both sides take turns; medians of all rounds.
"""

import argparse
import json
import multiprocessing
import socket
import statistics
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import requests

from gateway.deliver.send import Sender
from gateway.model.delivery import OutboundRequest

BODY = b'{"id": 1, "text": "' + b"x" * 5_500 + b'"}'
HEADERS = {f"X-Example-{number}": "value" for number in range(8)} | {"Content-Type": "application/json"}
ANSWER = b"HTTP/1.1 204 No Content\r\nServer: bench\r\nConnection: keep-alive\r\n\r\n"


def main() -> None:
    """Measure, print a table, and write JSON when asked."""
    options = _options()
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=receive, args=(there,), daemon=True)
    process.start()
    try:
        results = _measure(f"http://127.0.0.1:{here.recv()}/hook?a=b", options.rounds, options.seconds)
    finally:
        process.terminate()
    _print(results)
    if options.json:
        options.json.write_text(json.dumps(results, indent=2))


def receive(pipe: Connection) -> None:
    """Answer every request with 204 and tell the port through the pipe."""
    server = socket.create_server(("127.0.0.1", 0), backlog=128)
    pipe.send(server.getsockname()[1])
    while True:
        sock, _ = server.accept()
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=_serve, args=(sock,), daemon=True).start()


def _serve(sock: socket.socket) -> None:
    received = b""
    while data := sock.recv(65_536):
        received += data
        head, end, rest = received.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0] or 0)
        if end and len(rest) >= length:
            received = rest[length:]
            sock.sendall(ANSWER)


def _measure(url: str, rounds: int, seconds: float) -> dict[str, dict[str, float]]:
    contestants = {"requests": _plain(url), "sender": _ours(url)}
    contestants |= {f"{name} x4": call for name, call in contestants.items()}
    seen: dict[str, list[tuple[float, float]]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, call in contestants.items():
            seen[name].append(_rate(call, seconds, threads=4 if name.endswith("x4") else 1))
    return {
        name: {
            "calls_per_second": statistics.median(rate for rate, _ in runs),
            "cpu_microseconds": statistics.median(cpu for _, cpu in runs),
        }
        for name, runs in seen.items()
    }


def _plain(url: str) -> Callable[[], object]:
    session = requests.Session()
    return lambda: session.post(url, data=BODY, headers=HEADERS, timeout=10)


def _ours(url: str) -> Callable[[], object]:
    sender = Sender(timeout_seconds=10, allow_private=True)
    request = OutboundRequest(method="POST", url=url, headers=tuple(HEADERS.items()), body=BODY)
    return lambda: sender.send(request)


def _rate(call: Callable[[], object], seconds: float, threads: int) -> tuple[float, float]:
    """Return calls per second and this process's CPU microseconds per call."""
    call()
    counts = [0] * threads
    started, cpu = time.perf_counter(), time.process_time()

    def run(number: int) -> None:
        while time.perf_counter() - started < seconds:
            call()
            counts[number] += 1

    running = [threading.Thread(target=run, args=(number,)) for number in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    calls = sum(counts)
    return calls / (time.perf_counter() - started), (time.process_time() - cpu) / calls * 1e6


def _print(results: dict[str, dict[str, float]]) -> None:
    print(f"{'client':<14}{'calls/s':>10}{'CPU us':>9}{'ratio':>8}")
    for name, result in results.items():
        ratio = result["calls_per_second"] / results[name.replace("sender", "requests")]["calls_per_second"]
        print(f"{name:<14}{result['calls_per_second']:>10.0f}{result['cpu_microseconds']:>9.0f}{ratio:>8.2f}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    main()

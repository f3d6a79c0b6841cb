"""Open-loop load: sends requests of a file at a steady rate, whatever is answered, and notes every answer."""

import json
import selectors
import socket
import sys
import time
from collections import deque
from pathlib import Path
from typing import Any, Final

CONNECTIONS: Final = 64
_LINGER_SECONDS: Final = 5.0


class _Line:
    """One connection with at most one request under way."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.settimeout(0)
        self.planned_at = 0.0
        self.number = 0
        self.answer = b""


def pace(port: int, path: Path, *, length: int, first: int, rate: float, seconds: float) -> dict[str, Any]:
    """Send `rate` per second for `seconds`; latencies count from the moment at which a request was to be sent."""
    lines = [_Line(port) for _ in range(CONNECTIONS)]
    selector, free = selectors.DefaultSelector(), deque(lines)
    for line in lines:
        selector.register(line.socket, selectors.EVENT_READ, line)
    answers: list[tuple[int, float, float, int]] = []
    started_at = time.monotonic()
    total, sent = int(rate * seconds), 0
    with path.open("rb") as file:
        while len(answers) < total and time.monotonic() < started_at + seconds + _LINGER_SECONDS:
            while sent < total and free and (planned_at := started_at + sent / rate) <= time.monotonic():
                line = free.popleft()
                line.planned_at, line.number, line.answer = planned_at, first + sent, b""
                _send(line, file.read(length))
                sent += 1
            wait = started_at + sent / rate - time.monotonic() if sent < total and free else 0.05
            for key, _ in selector.select(max(0.0, min(wait, 0.05))):
                if _has_answered(key.data):
                    answers.append((key.data.number, key.data.planned_at, time.monotonic(), _status(key.data)))
                    free.append(key.data)
    return {"planned": total, "answers": answers, "ended_at": started_at + seconds}


def _send(line: _Line, request: bytes) -> None:
    sent = line.socket.send(request)
    while sent < len(request):
        try:
            sent += line.socket.send(request[sent:])
        except BlockingIOError:
            time.sleep(0.0005)


def _has_answered(line: _Line) -> bool:
    line.answer += line.socket.recv(65536)
    head, separator, body = line.answer.partition(b"\r\n\r\n")
    if not separator:
        return False
    for one in head.lower().split(b"\r\n"):
        if one.startswith(b"content-length:"):
            return len(body) >= int(one.partition(b":")[2])
    return b"chunked" not in head.lower() or body.endswith(b"0\r\n\r\n")


def _status(line: _Line) -> int:
    return int(line.answer[9:12])


if __name__ == "__main__":
    port, path, length, first, rate, seconds, out = sys.argv[1:]
    result = pace(int(port), Path(path), length=int(length), first=int(first), rate=float(rate), seconds=float(seconds))
    Path(out).write_text(json.dumps(result), encoding="utf-8")

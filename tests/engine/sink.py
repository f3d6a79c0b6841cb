"""A receiver that answers as it is told - well, with errors, never, half, garbage - and remembers everything."""

import asyncio
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum


class Answer(StrEnum):
    """What a receiver does with a request."""

    OK = "ok"
    BUSY = "busy"  # 503
    HANG = "hang"  # takes it in and never answers
    CUT_OFF = "cut_off"  # takes it in and closes the connection
    HALF = "half"  # 200, and closes in the middle of its body
    GARBAGE = "garbage"  # answers what is no HTTP
    REDIRECT = "redirect"


_BYTES = {
    Answer.OK: b"HTTP/1.1 204 No Content\r\n\r\n",
    Answer.BUSY: b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n",
    Answer.CUT_OFF: b"",
    Answer.HALF: b"HTTP/1.1 200 OK\r\nContent-Length: 400\r\n\r\nhalf",
    Answer.GARBAGE: b"\x00\xffnothing you know\r\n\r\n",
    Answer.REDIRECT: b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
}
_CLOSING = {Answer.CUT_OFF, Answer.HALF, Answer.GARBAGE}


@dataclass(frozen=True, slots=True)
class Arrival:
    """One request as it arrived, and what it was answered."""

    at: float
    headers: dict[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    answer: Answer

    @property
    def order(self) -> dict[str, object]:
        order: dict[str, object] = json.loads(self.body)
        return order

    @property
    def webhook_id(self) -> str:
        return self.headers["webhook-id"]


class Sink:
    """Listens on a port of its own in a thread of its own."""

    def __init__(self, answer: Callable[[int], Answer] = lambda _: Answer.OK, *, port: int = 0) -> None:
        """`answer` gets the number of the request, from 0."""
        self.answer = answer
        self.arrivals: list[Arrival] = []
        self._loop = asyncio.new_event_loop()
        self._server = self._loop.run_until_complete(
            self._loop.create_server(lambda: _Connection(self), "127.0.0.1", port, backlog=1024)
        )
        self.port: int = self._server.sockets[0].getsockname()[1]
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    @property
    def taken(self) -> list[Arrival]:
        """What was answered well: a status counts, whatever becomes of the body behind it."""
        return [arrival for arrival in list(self.arrivals) if arrival.answer in (Answer.OK, Answer.HALF)]

    def take(self, headers: dict[str, str], body: bytes) -> Answer:
        answer = self.answer(len(self.arrivals))
        self.arrivals.append(Arrival(time.monotonic(), headers, body, answer))
        return answer

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._server.close()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()


class _Connection(asyncio.Protocol):
    """Reads requests of known length, one after the other."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._bytes = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._bytes += data
        while (end := self._bytes.find(b"\r\n\r\n")) >= 0:
            lines = self._bytes[:end].decode("latin-1").split("\r\n")[1:]
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
            stop = end + 4 + int(headers.get("content-length", "0"))
            if len(self._bytes) < stop:
                return
            body, self._bytes = self._bytes[end + 4 : stop], self._bytes[stop:]
            self._reply(self._sink.take(headers, body))

    def _reply(self, answer: Answer) -> None:
        if answer is Answer.HANG:
            return
        self._transport.write(_BYTES[answer])
        if answer in _CLOSING:
            self._transport.close()

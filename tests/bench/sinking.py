"""A receiver in a process of its own: answers 204 at once and notes when which order arrived."""

import asyncio
import mmap
import re
import signal
import struct
import sys
import time
from pathlib import Path
from typing import Final

_NUMBER: Final = re.compile(rb'"(?:number|order_id|transaction_id)": ?"(\d+)"')
_LENGTH: Final = re.compile(rb"\r\n[Cc]ontent-[Ll]ength: (\d+)")
_OK: Final = b"HTTP/1.1 204 No Content\r\n\r\n"
_COUNTER: Final = struct.Struct("q")


class Tally:
    """A counter that other processes can look at."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            path.write_bytes(bytes(_COUNTER.size))
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), _COUNTER.size)

    @property
    def value(self) -> int:
        number: int = _COUNTER.unpack_from(self._memory)[0]
        return number

    @value.setter
    def value(self, value: int) -> None:
        _COUNTER.pack_into(self._memory, 0, value)


class _Connection(asyncio.Protocol):
    def __init__(self, arrivals: list[tuple[float, bytes]], tally: Tally) -> None:
        self._arrivals = arrivals
        self._tally = tally
        self._bytes = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._bytes = self._bytes + data if self._bytes else data
        while (end := self._bytes.find(b"\r\n\r\n")) >= 0:
            length = _LENGTH.search(self._bytes, 0, end)
            stop = end + 4 + (int(length[1]) if length else 0)
            if len(self._bytes) < stop:
                return
            self._note(self._bytes[end:stop])
            self._bytes = self._bytes[stop:]
            self._transport.write(_OK)

    def _note(self, body: bytes) -> None:
        if number := _NUMBER.search(body):
            self._arrivals.append((time.monotonic(), number[1]))
            self._tally.value = len(self._arrivals)


def main(port: int, tally: Path, log: Path) -> None:
    """Listen until SIGTERM, then write down every arrival."""
    arrivals: list[tuple[float, bytes]] = []
    loop = asyncio.new_event_loop()
    counter = Tally(tally)
    loop.run_until_complete(loop.create_server(lambda: _Connection(arrivals, counter), "127.0.0.1", port, backlog=2048))
    loop.add_signal_handler(signal.SIGTERM, loop.stop)
    loop.run_forever()
    log.write_bytes(b"".join(b"%r %s\n" % (at, number) for at, number in arrivals))


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]))

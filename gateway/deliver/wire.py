"""HTTP/1.1 on one connection, as far as a delivery needs it: one request, one answer, bounded in time and size."""

import re
import socket
from collections.abc import Callable
from dataclasses import dataclass, field

from gateway.deliver.failures import PERMANENT_FAILURES, Failure
from gateway.errors import DeliveryFailed

MAX_HEAD_BYTES = 65_536

_CHUNK_BYTES = 65_536
_MAX_LINE_BYTES = 4_096
_MAX_INTERIM_ANSWERS = 8
_END_OF_HEAD = re.compile(rb"\r?\n\r?\n")
_END_BYTES = 4
_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: .*)?")
_FOLD = re.compile(rb"\r?\n[ \t]+")
_SIZE = re.compile(rb"[0-9a-fA-F]{1,15}")
_LENGTH = re.compile(r"[0-9]{1,18}")
_SWITCHING_PROTOCOLS = 101
_BODILESS = frozenset({204, 304})


def failed(failure: Failure) -> DeliveryFailed:
    """Return the error for a failure of the network."""
    return DeliveryFailed(failure.value, permanent=failure in PERMANENT_FAILURES)


class Deadline:
    """The end of the time that one attempt has."""

    def __init__(self, seconds: float, monotonic: Callable[[], float]) -> None:
        """Start now, by a clock that only runs forward."""
        self._monotonic = monotonic
        self._ends = monotonic() + seconds

    def left_seconds(self, failure: Failure) -> float:
        """Return what is left; raises DeliveryFailed with `failure` when that is nothing."""
        left = self._ends - self._monotonic()
        if left <= 0:
            raise failed(failure)
        return left


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer, its body up to the bound; `is_reusable` says whether the connection may carry another request.

    `broken` is the word for what kept its body from being read: whoever sends a status has decided.
    """

    status_code: int
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    body: bytes = field(repr=False)
    is_reusable: bool
    broken: str = ""


class Wire:
    """One connection while it carries one request; `received_bytes` tells a silent end from a broken answer."""

    def __init__(self, sock: socket.socket, deadline: Deadline, max_body_bytes: int) -> None:
        """Use an open socket until the deadline."""
        self.received_bytes = 0
        self._sock = sock
        self._deadline = deadline
        self._max_body_bytes = max_body_bytes
        self._buffer = bytearray()
        self._is_written = False

    def exchange(self, message: bytes) -> Answer:
        """Send a whole request and read its answer; raises DeliveryFailed where none began."""
        self._write(message)
        for _ in range(_MAX_INTERIM_ANSWERS):
            minor, status_code, headers = self._read_head()
            if status_code // 100 != 1 or status_code == _SWITCHING_PROTOCOLS:
                return self._read_answer(minor, status_code, headers)
        raise failed(Failure.BAD_RESPONSE)

    def _write(self, message: bytes) -> None:
        try:
            self._sock.settimeout(self._deadline.left_seconds(Failure.WRITE_TIMEOUT))
            self._sock.sendall(message)
            self._is_written = True
        except TimeoutError:
            raise failed(Failure.WRITE_TIMEOUT) from None
        except OSError:
            # A receiver may answer and close before it has read everything; its answer is waiting.
            return

    def _read_answer(self, minor: int, status_code: int, headers: list[tuple[str, str]]) -> Answer:
        if status_code == _SWITCHING_PROTOCOLS:
            raise failed(Failure.BAD_RESPONSE)
        body, is_complete, broken = b"", True, ""
        if status_code not in _BODILESS:
            try:
                body, is_complete = self._read_body(headers)
            except DeliveryFailed as failure:
                is_complete, broken = False, failure.word
        options = ",".join(_all(headers, "connection")).lower()
        stays = "close" not in options and (minor == 1 or "keep-alive" in options)
        return Answer(
            status_code=status_code,
            headers=tuple(headers),
            body=body,
            is_reusable=self._is_written and is_complete and stays and not self._buffer,
            broken=broken,
        )

    def _read_head(self) -> tuple[int, int, list[tuple[str, str]]]:
        searched = 0  # so much holds no end: a head that drips in is not searched from its beginning for every byte
        while not (end := _END_OF_HEAD.search(self._buffer, max(0, searched - _END_BYTES + 1))):
            searched = len(self._buffer)
            if searched > MAX_HEAD_BYTES:
                raise failed(Failure.BAD_RESPONSE)
            self._fill_or_fail()
        head = bytes(self._buffer[: end.start()])
        del self._buffer[: end.end()]
        status_line, *lines = _FOLD.sub(b" ", head).split(b"\n")
        status = _STATUS_LINE.fullmatch(status_line.rstrip(b"\r"))
        if not status:
            raise failed(Failure.BAD_RESPONSE)
        return int(status[1]), int(status[2]), [_header(line) for line in lines]

    def _read_body(self, headers: list[tuple[str, str]]) -> tuple[bytes, bool]:
        codings = ",".join(_all(headers, "transfer-encoding")).lower()
        lengths = set(_all(headers, "content-length"))
        if codings.split(",")[-1].strip() == "chunked":
            body, is_complete = self._read_chunks()
            # An answer with both may be an attempt at smuggling: https://www.rfc-editor.org/rfc/rfc9112#section-6.3
            return body, is_complete and not lengths
        if not lengths or codings:
            return self._read_to_end(), False
        length = lengths.pop()
        if lengths or not _LENGTH.fullmatch(length):
            raise failed(Failure.BAD_RESPONSE)
        return self._take(min(int(length), self._max_body_bytes)), int(length) <= self._max_body_bytes

    def _read_chunks(self) -> tuple[bytes, bool]:
        body = bytearray()
        while size := self._chunk_size():
            body += self._take(min(size, self._max_body_bytes - len(body)))
            if len(body) >= self._max_body_bytes:
                return bytes(body), False
            if self._line():
                raise failed(Failure.BAD_RESPONSE)
        while self._line():
            pass  # trailers
        return bytes(body), True

    def _chunk_size(self) -> int:
        size = self._line().partition(b";")[0].strip()
        if not _SIZE.fullmatch(size):
            raise failed(Failure.BAD_RESPONSE)
        return int(size, 16)

    def _read_to_end(self) -> bytes:
        while len(self._buffer) < self._max_body_bytes and self._fill():
            pass
        return bytes(self._buffer[: self._max_body_bytes])

    def _line(self) -> bytes:
        while (end := self._buffer.find(b"\n")) < 0:
            if len(self._buffer) > _MAX_LINE_BYTES:
                raise failed(Failure.BAD_RESPONSE)
            self._fill_or_fail()
        return self._take(end + 1).rstrip(b"\r\n")

    def _take(self, count: int) -> bytes:
        while len(self._buffer) < count:
            self._fill_or_fail()
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken

    def _fill_or_fail(self) -> None:
        if not self._fill():
            raise failed(Failure.CUT_OFF if self.received_bytes else Failure.CONNECTION_RESET)

    def _fill(self) -> bool:
        """Read what is there, waiting for at least one byte; False at the end."""
        late = Failure.TOO_SLOW if self.received_bytes else Failure.READ_TIMEOUT
        try:
            self._sock.settimeout(self._deadline.left_seconds(late))
            received = self._sock.recv(_CHUNK_BYTES)
        except TimeoutError:
            raise failed(late) from None
        except OSError:
            raise failed(Failure.CUT_OFF if self.received_bytes else Failure.CONNECTION_RESET) from None
        self.received_bytes += len(received)
        self._buffer += received
        return bool(received)


def _header(line: bytes) -> tuple[str, str]:
    name, colon, value = line.decode("latin-1").partition(":")
    if not colon or not name or name != name.strip():
        raise failed(Failure.BAD_RESPONSE)
    return name, value.strip()


def _all(headers: list[tuple[str, str]], name: str) -> list[str]:
    return [value for key, value in headers if key.lower() == name]

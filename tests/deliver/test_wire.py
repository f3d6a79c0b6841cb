"""Whatever comes over the wire ends in an answer or a failure."""

import socket
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.deliver.wire import Answer, Deadline, Wire
from gateway.errors import DeliveryFailed

PIECES = st.sampled_from(
    [
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 204 \r\n",
        b"HTTP/1.0 503\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"Content-Length: 3\r\n",
        b"Content-Length: 99999999\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: gzip\r\n",
        b"Connection: close\r\n",
        b" folded\r\n",
        b"\r\n",
        b"\n",
        b"3\r\nabc\r\n",
        b"3;ext=1\nabc\n",
        b"0\r\n\r\n",
        b"0\r\nTrailer: 1\r\n\r\n",
        b"abc",
    ]
)


class Pieces(socket.socket):
    """A socket that takes everything and gives `data`, so many bytes at a time."""

    def __init__(self, data: bytes, size: int) -> None:
        self._pieces = iter([data[start : start + size] for start in range(0, len(data), size)])

    def settimeout(self, value: float | None) -> None:
        """Wait for nothing."""

    def sendall(self, *_: object) -> None:
        """Take everything."""

    def recv(self, *_: int) -> bytes:
        return next(self._pieces, b"")


def exchange(data: bytes, max_body_bytes: int = 100) -> Answer:
    here, there = socket.socketpair()
    with here, there:
        there.sendall(data)
        there.shutdown(socket.SHUT_WR)
        return Wire(here, Deadline(5, time.monotonic), max_body_bytes).exchange(b"POST / HTTP/1.1\r\n\r\n")


@given(st.lists(PIECES | st.binary(max_size=20), max_size=12).map(b"".join))
def test_any_bytes_end_in_an_answer_or_a_failure(data: bytes) -> None:
    word, status_code, length = outcome(data)
    assert word in {"", "bad_response", "cut_off", "connection_reset"}
    assert word or 200 <= status_code <= 999
    assert length <= 100


def outcome(data: bytes) -> tuple[str, int, int]:
    try:
        got = exchange(data)
    except DeliveryFailed as failure:
        return failure.word, 0, 0
    return "", got.status_code, len(got.body)


@pytest.mark.parametrize(
    ("data", "body", "is_reusable"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", b"abc", True),
        (b"HTTP/1.1 200\r\ncontent-length:3\r\ncontent-length: 3\r\n\r\nabc", b"abc", True),
        (b"HTTP/1.1 200 OK\nContent-Length: 3\n\nabc", b"abc", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b"", True),
        (b"HTTP/1.1 204 No Content\r\nContent-Length: 9\r\n\r\n", b"", True),
        (b"HTTP/1.1 304 Not Modified\r\n\r\n", b"", True),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n", b"abcde", True),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nTrailer: 1\r\n\r\n", b"", True),
        (b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 1\r\n\r\nx", b"x", True),
        (b"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 1\r\n\r\nx", b"x", True),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", b"x", False),
        (b"HTTP/1.1 200 OK\r\nConnection: foo, Close\r\nContent-Length: 1\r\n\r\nx", b"x", False),
        (b"HTTP/1.1 200 OK\r\n\r\nto the end", b"to the end", False),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nto the end", b"to the end", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n" + b"x" * 200, b"x" * 100, False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxrest", b"x", False),
    ],
)
def test_answers_are_read_as_they_are_framed(data: bytes, body: bytes, is_reusable: bool) -> None:
    got = exchange(data)
    assert (got.body, got.is_reusable) == (body, is_reusable)


HEAD, CHUNKS = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"3\r\nabc\r\n0\r\n\r\n"


@pytest.mark.parametrize("cut", range(1, len(HEAD)))
def test_head_that_ends_anywhere_is_cut_off(cut: int) -> None:
    with pytest.raises(DeliveryFailed, match="cut_off"):
        exchange(HEAD[:cut])


@pytest.mark.parametrize("cut", range(len(CHUNKS)))
def test_status_counts_wherever_its_body_ends(cut: int) -> None:
    got = exchange(HEAD + CHUNKS[:cut])
    assert (got.status_code, got.body, got.broken, got.is_reusable) == (200, b"", "cut_off", False)


@pytest.mark.parametrize("size", range(1, 12))
@pytest.mark.parametrize("end", [b"\r\n", b"\n"])
def test_answer_that_comes_in_pieces_is_read_as_a_whole(size: int, end: bytes) -> None:
    interim, head = b"HTTP/1.1 103 Hints" + 2 * end, b"HTTP/1.1 200 OK" + end + b"Content-Length: 3" + 2 * end
    got = Wire(Pieces(interim + head + b"abc", size), Deadline(5, time.monotonic), 100).exchange(b"")
    assert (got.status_code, got.body, got.is_reusable) == (200, b"abc", True)


def test_silence_is_a_reset() -> None:
    with pytest.raises(DeliveryFailed, match="connection_reset"):
        exchange(b"")


def test_failure_knows_no_more_than_its_word() -> None:
    with pytest.raises(DeliveryFailed) as caught:
        exchange(b"c4nary\r\n\r\n")
    assert str(caught.value) == "bad_response"

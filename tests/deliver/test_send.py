"""The door to the network, against real receivers."""

import socket
import ssl
import threading
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
import responses

from gateway.deliver.send import Sender
from gateway.errors import DeliveryFailed
from gateway.model.delivery import OutboundRequest, Response
from tests.deliver.receivers import Receiver, answer, drip, endless, hang, raw, raw_and_close

NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # trusts nobody, and costs nothing to build


@pytest.fixture
def sender() -> Iterator[Sender]:
    sender = Sender(timeout_seconds=5, allow_private=True, tls=NO_TLS)
    yield sender
    sender.close()


@pytest.fixture
def hasty() -> Iterator[Sender]:
    sender = Sender(timeout_seconds=0.3, allow_private=True, tls=NO_TLS)
    yield sender
    sender.close()


def a_request(url: str, body: bytes = b'{"id": 1}', **headers: str) -> OutboundRequest:
    pairs = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return OutboundRequest(method="POST", url=url, headers=pairs, body=body)


def failure_of(sender: Sender, url: str) -> str:
    with pytest.raises(DeliveryFailed) as caught:
        sender.send(a_request(url))
    assert not caught.value.permanent
    return caught.value.word


@pytest.mark.parametrize("status_code", [200, 201, 204, 304, 400, 404, 410, 429, 500, 503, 599])
def test_whatever_the_status_code_it_is_an_answer(sender: Sender, status_code: int) -> None:
    with Receiver([answer(status_code)]) as receiver:
        assert sender.send(a_request(receiver.url)).status_code == status_code


def test_body_and_headers_arrive_as_they_are(sender: Sender) -> None:
    body = bytes(range(256))
    with Receiver([answer(200)]) as receiver:
        sender.send(a_request(receiver.url + "?a=b%20c&d=%2F", body, X_Example="1", Content_Type="application/json"))
    (received,) = receiver.received
    assert received.line == "POST /hook?a=b%20c&d=%2F HTTP/1.1"
    assert received.body == body
    assert received.headers == {
        "host": f"127.0.0.1:{receiver.port}",
        "x-example": "1",
        "content-type": "application/json",
        "accept": "*/*",
        "accept-encoding": "identity",
        "connection": "keep-alive",
        "content-length": "256",
    }


def test_answer_comes_back_with_headers_and_body(sender: Sender) -> None:
    with Receiver([answer(503, b"later", Retry_After="7")]) as receiver:
        response = sender.send(a_request(receiver.url))
    assert response == Response(status_code=503, headers=(("Content-Length", "5"), ("Retry-After", "7")), body=b"later")


@pytest.mark.parametrize("status_code", [301, 302, 303, 307, 308])
def test_redirect_is_not_followed(sender: Sender, status_code: int) -> None:
    with Receiver([answer(200)]) as target, Receiver([answer(status_code, Location=target.url)]) as receiver:
        assert sender.send(a_request(receiver.url)).status_code == status_code
    assert (len(receiver.received), len(target.received)) == (1, 0)


def test_endless_body_of_a_redirect_is_read_to_the_bound_only(sender: Sender) -> None:
    head = b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n\r\n"
    with Receiver([endless(head, b"x" * 1000)]) as receiver:
        assert len(sender.send(a_request(receiver.url)).body) == 65_536


@pytest.mark.parametrize(
    ("head", "piece"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", b"x" * 10_000),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"3e8\r\n" + b"x" * 1000 + b"\r\n"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffff\r\n", b"x" * 10_000),
        (b"HTTP/1.0 200 OK\r\n\r\n", b"x" * 10_000),
    ],
)
def test_success_with_an_endless_body_is_a_success(head: bytes, piece: bytes) -> None:
    with Receiver([endless(head, piece), answer(204)]) as receiver:
        sender = Sender(timeout_seconds=5, allow_private=True, max_response_bytes=5000, tls=NO_TLS)
        response = sender.send(a_request(receiver.url))
        sender.send(a_request(receiver.url))
        sender.close()
    assert (response.status_code, response.body) == (200, b"x" * 5000)
    assert receiver.connections == 2


def test_receiver_that_says_nothing_is_a_read_timeout(hasty: Sender) -> None:
    with Receiver([hang]) as receiver:
        assert failure_of(hasty, receiver.url) == "read_timeout"


def test_dripping_answer_is_too_slow(hasty: Sender) -> None:
    with Receiver([drip(b"HTTP/1.1 200 OK\r\nX: ")]) as receiver:
        assert failure_of(hasty, receiver.url) == "too_slow"


def test_status_counts_though_its_body_takes_too_long(hasty: Sender) -> None:
    with Receiver([drip(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n")]) as receiver:
        response = hasty.send(a_request(receiver.url))
    assert (response.status_code, response.body, response.broken) == (200, b"", "too_slow")


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (b"Content-Length: 10\r\n\r\n12345", "cut_off"),
        (b"Transfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n", "cut_off"),
        (b"Content-Length: -5\r\n\r\n", "bad_response"),
        (b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n123456", "bad_response"),
        (b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", "bad_response"),
        (b"Transfer-Encoding: chunked\r\n\r\n1\r\nxGARBAGE\r\n", "bad_response"),
        (b"Transfer-Encoding: chunked\r\n\r\n" + b"0" * 10_000, "bad_response"),
    ],
)
@pytest.mark.parametrize("status_code", [200, 410, 503])
def test_status_counts_though_its_body_is_broken(sender: Sender, status_code: int, body: bytes, word: str) -> None:
    with Receiver([raw_and_close(b"HTTP/1.1 %d Words\r\n" % status_code + body), answer(204)]) as receiver:
        response = sender.send(a_request(receiver.url))
        sender.send(a_request(receiver.url))
    assert (response.status_code, response.body, response.broken) == (status_code, b"", word)
    assert (len(receiver.received), receiver.connections) == (2, 2)


def test_receiver_that_never_reads_is_a_write_timeout(hasty: Sender) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(DeliveryFailed, match="write_timeout"):
        hasty.send(a_request(f"http://127.0.0.1:{silent.getsockname()[1]}/", b"x" * 50_000_000))


@pytest.mark.parametrize(
    "start",
    [
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HT",
        b"HTTP/1.1 100 Continue\r\n\r\n",
    ],
)
def test_answer_that_stops_in_the_middle_is_cut_off(sender: Sender, start: bytes) -> None:
    with Receiver([raw_and_close(start)]) as receiver:
        assert failure_of(sender, receiver.url) == "cut_off"
    assert len(receiver.received) == 1


def test_connection_closed_without_an_answer_is_reset(sender: Sender) -> None:
    with Receiver([raw_and_close(b"")]) as receiver:
        assert failure_of(sender, receiver.url) == "connection_reset"
    assert len(receiver.received) == 1


@pytest.mark.parametrize(
    "garbage",
    [
        b"garbage\r\n\r\n",
        b"\x16\x03\x01\x00\x05\r\n\r\n",
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n: no name\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000,
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 9,
    ],
)
def test_garbage_is_a_bad_response(sender: Sender, garbage: bytes) -> None:
    with Receiver([raw_and_close(garbage)]) as receiver:
        assert failure_of(sender, receiver.url) == "bad_response"


@pytest.mark.parametrize("value", ["text/html; charset", "text/html; charset=\xff", ";;=;", '"', "x" * 4_000])
def test_content_type_of_an_answer_does_not_matter(sender: Sender, value: str) -> None:
    with Receiver([answer(200, b"ok", Content_Type=value)]) as receiver:
        assert sender.send(a_request(receiver.url)).body == b"ok"


def test_interim_answers_are_passed_over(sender: Sender) -> None:
    with Receiver([raw(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n")]) as receiver:
        assert sender.send(a_request(receiver.url)).status_code == 204


def test_answer_given_before_the_request_was_read_counts(sender: Sender) -> None:
    def refuse(server: socket.socket) -> None:
        sock, _ = server.accept()
        with sock:
            sock.recv(1)
            sock.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=refuse, args=(server,))
        thread.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        assert sender.send(a_request(url, b"x" * 50_000_000)).status_code == 413
        thread.join()


def test_port_where_nobody_listens_is_refused(sender: Sender) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert failure_of(sender, f"http://127.0.0.1:{port}/") == "connection_refused"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "nonsense",
        "ftp://shop.example/",
        "https:/shop.example/",
        "http://",
        "http://:80/",
        "http://shop.example:99999/",
        "http://shop..example/",
        "http://[::1/",
        "http://shop.example/\r\nX-Evil: 1",
        "http://user:password@127.0.0.1/",
        "http://shop.example\\@127.0.0.1/",
        "http://*.example/",
    ],
)
def test_url_that_cannot_be_called_is_refused_for_good(sender: Sender, url: str) -> None:
    with pytest.raises(DeliveryFailed) as caught:
        sender.send(a_request(url))
    assert (caught.value.word, caught.value.permanent) == ("invalid_url", True)


@pytest.mark.parametrize("value", ["1\r\nX-Evil: 2", "1\nX-Evil: 2", "1\rX", "1\0", "\u20ac"])
def test_header_that_would_break_the_request_is_never_sent(sender: Sender, value: str) -> None:
    with Receiver([answer(200)]) as receiver, pytest.raises(DeliveryFailed) as caught:
        sender.send(a_request(receiver.url, X_Example=value))
    assert (caught.value.word, caught.value.permanent, receiver.received) == ("invalid_header", True, [])


def test_cookies_of_an_answer_are_forgotten(sender: Sender) -> None:
    with Receiver([answer(200, Set_Cookie="a=b; Path=/")]) as receiver:
        sender.send(a_request(receiver.url))
        sender.send(a_request(receiver.url))
    assert "cookie" not in receiver.received[1].headers


def test_environment_changes_nothing(
    sender: Sender, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    netrc = tmp_path_factory.mktemp("home") / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with Receiver([answer(204)]) as receiver:
        assert sender.send(a_request(receiver.url)).status_code == 204
    assert "authorization" not in receiver.received[0].headers


def test_threads_get_their_own_answers(sender: Sender) -> None:
    with Receiver([], echoes=True) as receiver, ThreadPoolExecutor(8) as pool:
        bodies = [b"%d" % number for number in range(200)]
        answers = list(pool.map(lambda body: sender.send(a_request(receiver.url, body)).body, bodies))
    assert answers == bodies
    assert receiver.connections <= 8


def test_reaching_a_host_sends_nothing(sender: Sender) -> None:
    with Receiver([answer(200)]) as receiver:
        sender.reach(receiver.url)
        assert receiver.closed.acquire(timeout=5)
    assert receiver.received == []


def test_host_that_cannot_be_reached_is_told(sender: Sender) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(DeliveryFailed, match="connection_refused"):
        sender.reach(f"http://127.0.0.1:{port}/")


def test_closed_sender_sends_nothing(sender: Sender) -> None:
    with Receiver([answer(204)]) as receiver:
        sender.send(a_request(receiver.url))
        sender.close()
        assert failure_of(sender, receiver.url) == "closed"
    assert len(receiver.received) == 1


@pytest.mark.parametrize("path", ["/hook?api_secret=c4nary", "/c4nary\r\n", "/#c4nary"])
def test_no_failure_repeats_what_was_sent(sender: Sender, path: str) -> None:
    with Receiver([raw_and_close(b"c4nary\r\n\r\n")]) as receiver:
        request = a_request(f"http://127.0.0.1:{receiver.port}{path}", b"c4nary", X_Key="c4nary")
        with pytest.raises(DeliveryFailed) as caught:
            sender.send(request)
    assert "c4nary" not in repr(caught.value) + str(caught.value) + repr(request)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@responses.activate
def test_the_responses_library_works_with_the_sender(sender: Sender) -> None:
    responses.post("https://shop.example/hook", status=503, body=b"x" * 70_000, headers={"Retry-After": "3"})
    response = sender.send(a_request("https://shop.example/hook", b"{}", X_Example="1"))
    assert (response.status_code, len(response.body)) == (503, 65_536)
    assert ("Retry-After", "3") in response.headers
    sent = responses.calls[0].request
    assert (sent.body, sent.headers["x-example"]) == (b"{}", "1")


@responses.activate
def test_faked_redirect_is_not_followed(sender: Sender) -> None:
    responses.post("https://shop.example/hook", status=302, headers={"Location": "https://other.example/"})
    assert sender.send(a_request("https://shop.example/hook")).status_code == 302
    assert len(responses.calls) == 1


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (requests.ConnectTimeout("c4nary"), "connect_timeout"),
        (requests.ReadTimeout("c4nary"), "read_timeout"),
        (requests.exceptions.SSLError("c4nary"), "tls_failed"),
        (requests.ConnectionError("c4nary"), "unreachable"),
        (requests.exceptions.ChunkedEncodingError("c4nary"), "bad_response"),
    ],
)
@responses.activate
def test_errors_of_the_library_become_words(sender: Sender, error: Exception, word: str) -> None:
    responses.post("https://shop.example/hook", body=error)
    with pytest.raises(DeliveryFailed) as caught:
        sender.send(a_request("https://shop.example/hook"))
    assert (caught.value.word, str(caught.value)) == (word, word)
    assert "c4nary" not in "".join(traceback.format_exception(caught.value))

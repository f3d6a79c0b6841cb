"""Where connections may lead, how they end, and when they are used again."""

import contextlib
import datetime as dt
import ipaddress
import socket
import ssl
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from gateway.deliver.connections import IDLE_SECONDS, Address, Connections, Limits, Origin, Resolve, resolve
from gateway.deliver.send import Sender, trusting_context
from gateway.errors import DeliveryFailed
from gateway.model.delivery import OutboundRequest
from tests.deliver.receivers import Receiver, answer, hang, raw_and_close

NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


class Names:
    """A resolver that knows what it is told, and counts."""

    def __init__(self, *answers: Sequence[tuple[str, int]]) -> None:
        self.answers = answers
        self.calls = 0

    def __call__(self, host: str, port: int) -> Sequence[Address]:
        self.calls += 1
        found = self.answers[min(self.calls, len(self.answers)) - 1]
        return [Address(socket.AF_INET6 if ":" in ip else socket.AF_INET, (ip, port or own)) for ip, own in found]


class Ticker:
    """A clock that runs forward when told to."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def send(sender: Sender, url: str) -> int:
    return sender.send(OutboundRequest(method="POST", url=url, headers=(), body=b"{}")).status_code


def failure_of(sender: Sender, url: str) -> str:
    with pytest.raises(DeliveryFailed) as caught:
        send(sender, url)
    assert not caught.value.permanent
    return caught.value.word


def a_sender(*, allow_private: bool = True, resolve: Resolve = resolve, timeout_seconds: float = 5) -> Sender:
    return Sender(timeout_seconds=timeout_seconds, allow_private=allow_private, tls=NO_TLS, resolve=resolve)


# Where they may lead


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "LOCALHOST",
        "localhost.",
        "127.1",
        "127.0.1",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0177.0.0.1",
        "0",
        "0.0.0.0",
        "10.0.0.1",
        "100.64.0.1",
        "169.254.169.254",
        "192.168.0.1",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[64:ff9b::7f00:1]",
        "[64:ff9b::10.0.0.1]",
        "[2002:7f00:1::]",
        "[2001:0:7f00:1::]",
        "[fd00::1]",
        "[fe80::1]",
        "%6c%6fcalhost",
    ],
)
def test_private_host_is_refused_however_it_is_written(host: str) -> None:
    with Receiver([answer(200)]) as receiver:
        sender = a_sender(allow_private=False)
        assert failure_of(sender, f"http://{host}:{receiver.port}/") in {"private_address", "dns_failed"}
        sender.close()
    assert receiver.connections == 0


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1", "2130706433", "[::ffff:127.0.0.1]"])
def test_private_host_is_reached_when_allowed(host: str) -> None:
    with Receiver([answer(200)]) as receiver:
        sender = a_sender()
        assert send(sender, f"http://{host}:{receiver.port}/") == 200
        sender.close()


def test_name_that_leads_to_loopback_is_refused() -> None:
    names = Names([("127.0.0.1", 0)])
    with Receiver([answer(200)]) as receiver:
        sender = a_sender(allow_private=False, resolve=names)
        assert failure_of(sender, f"http://shop.example:{receiver.port}/") == "private_address"
        sender.close()
    assert (receiver.connections, names.calls) == (0, 1)


def test_name_is_asked_for_once_and_the_connection_goes_to_that_answer() -> None:
    with Receiver([answer(200)]) as first, Receiver([answer(200)]) as second:
        names = Names([("127.0.0.1", first.port)], [("127.0.0.1", second.port)])
        sender = Sender(timeout_seconds=5, allow_private=True, tls=NO_TLS, resolve=lambda host, _: names(host, 0))
        assert send(sender, "http://shop.example/") == 200
        sender.close()
    assert (len(first.received), len(second.received), names.calls) == (1, 0, 1)
    assert first.received[0].headers["host"] == "shop.example"


def test_ipv6_receiver_is_reached() -> None:
    if not socket.has_dualstack_ipv6():
        pytest.skip("no IPv6 here")
    with Receiver([answer(200)], host="::1") as receiver:
        sender = a_sender()
        assert send(sender, receiver.url) == 200
        sender.close()
    assert receiver.received[0].headers["host"] == f"[::1]:{receiver.port}"


def test_next_address_is_tried_where_the_system_lacks_a_family() -> None:
    with Receiver([answer(200)]) as receiver:
        lacking = Address(99, ("::1", receiver.port, 0, 0))
        sender = a_sender(resolve=lambda _, port: [lacking, Address(socket.AF_INET, ("127.0.0.1", port))])
        assert send(sender, f"http://two.example:{receiver.port}/") == 200
        sender.close()
    alone = a_sender(resolve=lambda _host, _port: [lacking])
    assert failure_of(alone, "http://one.example/") == "unreachable"


def test_next_address_is_tried_when_one_is_dead() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        dead = server.getsockname()[1]
    with Receiver([answer(200)]) as receiver:
        names = Names([("127.0.0.1", dead), ("127.0.0.1", receiver.port)])
        sender = Sender(timeout_seconds=5, allow_private=True, tls=NO_TLS, resolve=lambda host, _: names(host, 0))
        assert send(sender, "http://shop.example/") == 200
        sender.close()


@pytest.mark.parametrize("error", [socket.gaierror(-2, "Name or service not known"), UnicodeError("label too long")])
def test_unknown_name_is_a_dns_failure(error: Exception) -> None:
    def unknown(host: str, port: int) -> Sequence[Address]:
        raise error

    assert failure_of(a_sender(resolve=unknown), "http://shop.example/") == "dns_failed"


def test_name_without_addresses_is_a_dns_failure() -> None:
    assert failure_of(a_sender(resolve=Names([])), "http://shop.example/") == "dns_failed"


def test_silent_name_server_is_a_dns_timeout() -> None:
    over = threading.Event()

    def silent(host: str, port: int) -> Sequence[Address]:
        over.wait(10)
        return []

    assert failure_of(a_sender(resolve=silent, timeout_seconds=0.1), "http://shop.example/") == "dns_timeout"
    over.set()


def test_host_that_does_not_answer_is_a_connect_timeout() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = [socket.socket() for _ in range(3)]
        for sock in waiting:
            sock.setblocking(False)  # noqa: FBT003 - the library's signature
            sock.connect_ex(full.getsockname())
        url = f"http://127.0.0.1:{full.getsockname()[1]}/"
        assert failure_of(a_sender(timeout_seconds=0.3), url) == "connect_timeout"
        for sock in waiting:
            sock.close()


# When they are used again


def test_connection_is_kept_between_requests() -> None:
    sender = a_sender()
    with Receiver([answer(204), answer(500, b"x"), answer(302, b"y" * 3000), answer(200)]) as receiver:
        assert [send(sender, receiver.url) for _ in range(4)] == [204, 500, 302, 200]
    sender.close()
    assert [received.connection for received in receiver.received] == [1, 1, 1, 1]


@pytest.mark.parametrize(
    "last",
    [
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 500 Early\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
)
def test_connection_that_cannot_be_trusted_again_is_left(last: bytes) -> None:
    sender = a_sender()

    def once(sock: socket.socket) -> bool:
        sock.sendall(last)
        return True

    with Receiver([once, answer(200)]) as receiver:
        assert [send(sender, receiver.url) for _ in range(2)] == [200, 200]
    sender.close()
    assert [received.connection for received in receiver.received] == [1, 2]


def test_connection_closed_while_idle_is_not_used() -> None:
    sender = a_sender()
    with Receiver([raw_and_close(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), answer(204)]) as receiver:
        send(sender, receiver.url)
        assert receiver.closed.acquire(timeout=5)
        assert send(sender, receiver.url) == 204
    sender.close()
    assert [received.connection for received in receiver.received] == [1, 2]


def test_kept_connection_that_closes_on_the_request_is_replaced_once() -> None:
    sender = a_sender()
    with Receiver([answer(200), raw_and_close(b""), answer(204)]) as receiver:
        assert [send(sender, receiver.url) for _ in range(2)] == [200, 204]
    sender.close()
    assert [received.connection for received in receiver.received] == [1, 1, 2]


def test_replacement_that_closes_too_is_a_failure() -> None:
    sender = a_sender()
    with Receiver([answer(200), raw_and_close(b"")]) as receiver:
        send(sender, receiver.url)
        assert failure_of(sender, receiver.url) == "connection_reset"
    sender.close()
    assert len(receiver.received) == 3


@pytest.mark.parametrize(("script", "word"), [(hang, "read_timeout"), (raw_and_close(b"HTTP/1.1 2"), "cut_off")])
def test_kept_connection_that_fails_otherwise_is_not_tried_again(script: object, word: str) -> None:
    assert callable(script)
    sender = a_sender(timeout_seconds=0.5)
    with Receiver([answer(200), script]) as receiver:
        send(sender, receiver.url)
        assert failure_of(sender, receiver.url) == word
    sender.close()
    assert len(receiver.received) == 2


def connections_with(ticker: Ticker, pool_size: int = 4) -> Connections:
    limits = Limits(timeout_seconds=5, allow_private=True, max_response_bytes=1000, pool_size=pool_size)
    return Connections(limits, NO_TLS, resolve, ticker)


def post(connections: Connections, receiver: Receiver) -> int:
    origin = Origin(is_tls=False, host="127.0.0.1", port=receiver.port)
    return connections.exchange(origin, b"POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n").status_code


def test_connection_idle_for_too_long_is_closed() -> None:
    ticker = Ticker()
    connections = connections_with(ticker)
    with Receiver([answer(200)]) as old, Receiver([answer(200)]) as other:
        post(connections, old)
        post(connections, other)
        ticker.seconds += IDLE_SECONDS + 1
        post(connections, other)
        assert old.closed.acquire(timeout=5)
        connections.close()
    assert (old.connections, other.connections) == (1, 2)


def test_no_more_connections_stay_open_than_the_pool_holds() -> None:
    connections = connections_with(Ticker(), pool_size=1)
    together = threading.Barrier(2)

    def wait_for_the_other(sock: socket.socket) -> bool:
        together.wait(5)
        return answer(200)(sock)

    with Receiver([wait_for_the_other]) as receiver:
        threads = [threading.Thread(target=post, args=(connections, receiver)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(5)
        assert receiver.closed.acquire(timeout=5)
        assert not receiver.closed.acquire(blocking=False)
        connections.close()


# TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "shop.example")])
    names = x509.SubjectAlternativeName(
        [x509.DNSName("shop.example"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    )
    now = dt.datetime.now(dt.UTC)
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "own.pem"
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(signed.public_bytes(Encoding.PEM) + private)
    return path


@pytest.fixture
def server_side(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


@pytest.fixture
def client_side(certificate: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(certificate))


def tls_sender(tls: ssl.SSLContext, *, timeout_seconds: float = 5) -> Sender:
    loopback = Names([("127.0.0.1", 0)])
    return Sender(timeout_seconds=timeout_seconds, allow_private=True, tls=tls, resolve=loopback)


@pytest.mark.parametrize("host", ["shop.example", "SHOP.example", "shop.example.", "127.0.0.1"])
def test_trusted_certificate_is_accepted_and_the_connection_kept(
    server_side: ssl.SSLContext, client_side: ssl.SSLContext, host: str
) -> None:
    sender = tls_sender(client_side)
    with Receiver([answer(200)], tls=server_side) as receiver:
        for _ in range(3):
            assert send(sender, f"https://{host}:{receiver.port}/") == 200
    sender.close()
    assert [received.connection for received in receiver.received] == [1, 1, 1]


def test_certificate_of_another_host_is_refused(server_side: ssl.SSLContext, client_side: ssl.SSLContext) -> None:
    sender = tls_sender(client_side)
    with Receiver([answer(200)], tls=server_side) as receiver:
        assert failure_of(sender, f"https://other.example:{receiver.port}/") == "tls_failed"
    assert receiver.received == []


def test_self_signed_certificate_is_refused(server_side: ssl.SSLContext) -> None:
    sender = tls_sender(trusting_context())
    with Receiver([answer(200)], tls=server_side) as receiver:
        assert failure_of(sender, f"https://shop.example:{receiver.port}/") == "tls_failed"
    assert receiver.received == []


def test_receiver_without_tls_is_refused(client_side: ssl.SSLContext) -> None:
    def greet(server: socket.socket) -> None:
        sock, _ = server.accept()
        with sock:
            sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    sender = tls_sender(client_side)
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=greet, args=(server,))
        thread.start()
        assert failure_of(sender, f"https://shop.example:{server.getsockname()[1]}/") == "tls_failed"
        thread.join(5)


def test_handshake_that_stands_still_is_a_connect_timeout(client_side: ssl.SSLContext) -> None:
    sender = tls_sender(client_side, timeout_seconds=0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert failure_of(sender, f"https://shop.example:{silent.getsockname()[1]}/") == "connect_timeout"


def test_receiver_that_reads_bit_by_bit_holds_nothing_up_for_longer_than_the_timeout(
    server_side: ssl.SSLContext, client_side: ssl.SSLContext
) -> None:
    def sip(server: socket.socket) -> None:
        sock, _ = server.accept()
        over = threading.Event()
        with contextlib.suppress(OSError), server_side.wrap_socket(sock, server_side=True) as wrapped:
            while wrapped.recv(65_536):
                over.wait(0.05)

    sender = tls_sender(client_side, timeout_seconds=0.5)
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=sip, args=(server,))
        thread.start()
        url = f"https://shop.example:{server.getsockname()[1]}/"
        with pytest.raises(DeliveryFailed, match="write_timeout"):
            sender.send(OutboundRequest(method="POST", url=url, headers=(), body=b"x" * 30_000_000))
        thread.join(60)


def test_old_protocols_are_refused() -> None:
    assert trusting_context().minimum_version >= ssl.TLSVersion.TLSv1_2
    assert trusting_context().verify_mode is ssl.CERT_REQUIRED

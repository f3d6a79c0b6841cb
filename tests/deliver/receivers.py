"""Receivers on real sockets: well-behaved, slow, broken and hostile ones."""

import socket
import ssl
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

Script = Callable[[socket.socket], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """One request as it came in; `connection` counts from 1."""

    line: str
    headers: dict[str, str]
    body: bytes
    connection: int


@dataclass
class Receiver:
    """Answers the n-th request by the n-th script, and further ones by the last; a script says whether to go on."""

    scripts: Sequence[Script]
    host: str = "127.0.0.1"
    tls: ssl.SSLContext | None = None
    echoes: bool = False
    received: list[Received] = field(default_factory=list)
    connections: int = 0
    closed: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def __enter__(self) -> Self:
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        self._lock = threading.Lock()
        self._listener = socket.create_server((self.host, 0), family=family)
        self.port: int = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept)]
        self._socks: list[socket.socket] = []
        self._threads[0].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            for sock in self._socks:
                _shut(sock)
        for thread in self._threads:
            thread.join(10)

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.tls else 'http'}://{host}:{self.port}/hook"

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                self.connections += 1
                self._socks.append(sock)
                thread = threading.Thread(target=self._serve, args=(sock, self.connections))
                self._threads.append(thread)
            thread.start()

    def _serve(self, sock: socket.socket, connection: int) -> None:
        try:
            if self.tls:
                sock = self._wrapped(sock, self.tls)
            sock.settimeout(10)
            reader = sock.makefile("rb")
            while (request := _read_request(reader.readline, reader.read, connection)) and self._answer(sock, request):
                pass
            reader.close()
        except OSError:
            pass
        finally:
            _shut(sock)
            sock.close()
            self.closed.release()

    def _wrapped(self, sock: socket.socket, tls: ssl.SSLContext) -> socket.socket:
        wrapped = tls.wrap_socket(sock, server_side=True)
        with self._lock:
            self._socks.append(wrapped)
        return wrapped

    def _answer(self, sock: socket.socket, request: Received) -> bool:
        with self._lock:
            self.received.append(request)
            scripts = [answer(200, request.body)] if self.echoes else self.scripts
            script = scripts[min(len(self.received), len(scripts)) - 1]
        return script(sock)


def answer(status_code: int, body: bytes = b"", **headers: str) -> Script:
    """Answer properly; underscores in header names become hyphens."""
    lines = [f"HTTP/1.1 {status_code} Words", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return raw("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body)


def raw(data: bytes) -> Script:
    """Answer with these bytes and keep the connection open."""

    def script(sock: socket.socket) -> bool:
        sock.sendall(data)
        return True

    return script


def raw_and_close(data: bytes) -> Script:
    """Answer with these bytes and close the connection."""

    def script(sock: socket.socket) -> bool:
        sock.sendall(data)
        return False

    return script


def hang(sock: socket.socket) -> bool:
    """Say nothing until the other side gives up."""
    sock.recv(1)
    return False


def endless(head: bytes, piece: bytes) -> Script:
    """Answer with `head` and then `piece` for ever, as fast as the other side reads."""

    def script(sock: socket.socket) -> bool:
        sock.sendall(head)
        while True:
            sock.sendall(piece)

    return script


def drip(head: bytes, pause_seconds: float = 0.02) -> Script:
    """Answer with `head` and then one byte at a time."""

    def script(sock: socket.socket) -> bool:
        sock.sendall(head)
        over = threading.Event()
        while not over.wait(pause_seconds):
            sock.sendall(b"x")
        return False

    return script


def _read_request(readline: Callable[[], bytes], read: Callable[[int], bytes], connection: int) -> Received | None:
    line = readline().decode("latin-1").strip()
    if not line:
        return None
    headers: dict[str, str] = {}
    while header := readline().decode("latin-1").strip():
        name, _, value = header.partition(":")
        assert name.lower() not in headers, f"{name} came twice"
        headers[name.lower()] = value.strip()
    body = read(int(headers.get("content-length", "0")))
    return Received(line=line, headers=headers, body=body, connection=connection)


def _shut(sock: socket.socket) -> None:
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        return

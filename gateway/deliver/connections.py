"""Connections to public addresses, kept open between requests."""

import contextlib
import socket
import ssl
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from select import POLLIN, poll
from typing import NamedTuple

from gateway.deliver.addresses import is_public
from gateway.deliver.failures import Failure
from gateway.deliver.wire import Answer, Deadline, Wire, failed
from gateway.errors import DeliveryFailed

IDLE_SECONDS = 55.0  # most load balancers close after 60 s

_MOST_ADDRESSES = 6
_CONNECT_WORDS = {
    ConnectionRefusedError: Failure.CONNECTION_REFUSED,
    ConnectionResetError: Failure.CONNECTION_RESET,
    TimeoutError: Failure.CONNECT_TIMEOUT,
}


class Origin(NamedTuple):
    """Whom a connection leads to."""

    is_tls: bool
    host: str
    port: int


class Address(NamedTuple):
    """One address of a name: the family and what `connect` takes."""

    family: int
    sockaddr: tuple[str, int] | tuple[str, int, int, int]


Resolve = Callable[[str, int], Sequence[Address]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What connections are held to."""

    timeout_seconds: float  # for one attempt as a whole, name resolution included
    allow_private: bool
    max_response_bytes: int
    pool_size: int  # idle connections kept per origin


class Connections:
    """Carries requests over connections of its own; safe to share between threads."""

    def __init__(self, limits: Limits, tls: ssl.SSLContext, resolve: Resolve, monotonic: Callable[[], float]) -> None:
        """Hold nothing open yet."""
        self._limits = limits
        self._tls = tls
        self._resolve = resolve
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._idle: defaultdict[Origin, deque[tuple[socket.socket, float]]] = defaultdict(deque)
        self._swept_at = monotonic()
        self._is_closed = False

    def exchange(self, origin: Origin, message: bytes) -> Answer:
        """Send one whole request and read its answer; raises DeliveryFailed.

        A kept connection that the other side closed meanwhile brings nothing back; the request then goes once
        more, over a new one.
        """
        deadline = Deadline(self._limits.timeout_seconds, self._monotonic)
        kept = self._take(origin)
        if kept:
            answer = self._try_kept(origin, kept, message, deadline)
            if answer:
                return answer
        return self._carry(origin, self._connect(origin, deadline), message, deadline)

    def reach(self, origin: Origin) -> None:
        """Open a connection and close it again; raises DeliveryFailed."""
        _close([self._connect(origin, Deadline(self._limits.timeout_seconds, self._monotonic))])

    def close(self) -> None:
        """Close what is idle now, and the rest when it comes back."""
        with self._lock:
            self._is_closed = True
            leaving = [sock for kept in self._idle.values() for sock, _ in kept]
            self._idle.clear()
        _close(leaving)

    def _try_kept(self, origin: Origin, sock: socket.socket, message: bytes, deadline: Deadline) -> Answer | None:
        try:
            return self._carry(origin, sock, message, deadline)
        except DeliveryFailed as failure:
            if failure.word == Failure.CONNECTION_RESET:
                return None
            raise

    def _carry(self, origin: Origin, sock: socket.socket, message: bytes, deadline: Deadline) -> Answer:
        try:
            answer = Wire(sock, deadline, self._limits.max_response_bytes).exchange(message)
        except BaseException:
            _close([sock])
            raise
        if answer.is_reusable:
            self._keep(origin, sock)
        else:
            _close([sock])
        return answer

    def _take(self, origin: Origin) -> socket.socket | None:
        """Return the connection used last that is still open; what it passes over is closed."""
        oldest = self._monotonic() - IDLE_SECONDS
        while True:
            with self._lock:
                if self._is_closed:
                    raise failed(Failure.CLOSED)
                kept = self._idle.get(origin)
                if not kept:
                    return None
                sock, since = kept.pop()
            if since >= oldest and not _has_news(sock):
                return sock
            _close([sock])

    def _keep(self, origin: Origin, sock: socket.socket) -> None:
        now = self._monotonic()
        leaving: list[socket.socket] = []
        with self._lock:
            if self._is_closed:
                leaving.append(sock)
            else:
                kept = self._idle[origin]
                kept.append((sock, now))
                if len(kept) > self._limits.pool_size:
                    leaving.append(kept.popleft()[0])
                leaving.extend(self._sweep(now))
        _close(leaving)

    def _sweep(self, now: float) -> list[socket.socket]:
        """Let go of what has been idle too long anywhere, now and then."""
        if now - self._swept_at < IDLE_SECONDS:
            return []
        self._swept_at = now
        leaving = []
        for origin in list(self._idle):
            kept = self._idle[origin]
            while kept and kept[0][1] < now - IDLE_SECONDS:
                leaving.append(kept.popleft()[0])
            if not kept:
                del self._idle[origin]
        return leaving

    def _connect(self, origin: Origin, deadline: Deadline) -> socket.socket:
        sock = self._connect_plain(self._addresses(origin, deadline), deadline)
        if not origin.is_tls:
            return sock
        try:
            sock.settimeout(deadline.left_seconds(Failure.CONNECT_TIMEOUT))
            # Certificates name hosts without a last dot: https://www.rfc-editor.org/rfc/rfc6066#section-3
            return self._tls.wrap_socket(sock, server_hostname=origin.host.rstrip("."))
        except TimeoutError:
            _close([sock])
            raise failed(Failure.CONNECT_TIMEOUT) from None
        except (OSError, ValueError):
            _close([sock])
            raise failed(Failure.TLS_FAILED) from None

    def _connect_plain(self, addresses: Sequence[Address], deadline: Deadline) -> socket.socket:
        """Try the addresses in turn; each gets its share of the time, so that a dead one does not use it up."""
        failure = Failure.DNS_FAILED
        for tried, address in enumerate(addresses):
            left_seconds = deadline.left_seconds(Failure.CONNECT_TIMEOUT)
            try:
                return _connected(address, left_seconds / (len(addresses) - tried))
            except OSError as error:
                failure = _CONNECT_WORDS.get(type(error), Failure.UNREACHABLE)
        raise failed(failure)

    def _addresses(self, origin: Origin, deadline: Deadline) -> Sequence[Address]:
        """Resolve once, and return only addresses that may be called: the connection goes to what was checked."""
        found = _resolved(self._resolve, origin, deadline)
        if not found:
            raise failed(Failure.DNS_FAILED)
        allowed = [one for one in found if self._limits.allow_private or is_public(one.sockaddr[0])]
        if not allowed:
            raise failed(Failure.PRIVATE_ADDRESS)
        return _by_turns(allowed)[:_MOST_ADDRESSES]


def resolve(host: str, port: int) -> Sequence[Address]:
    """Ask the system for the addresses of a host; raises OSError or UnicodeError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [
        Address(family, sockaddr)  # type: ignore[arg-type]  # other shapes belong to families that are filtered
        for family, _, _, _, sockaddr in found
        if family in (socket.AF_INET, socket.AF_INET6)
    ]


def _resolved(resolve: Resolve, origin: Origin, deadline: Deadline) -> Sequence[Address]:
    """Resolve in a thread of its own, since the system's resolver takes no timeout."""
    found: list[Sequence[Address]] = []

    def look_up() -> None:
        with contextlib.suppress(OSError, UnicodeError):
            found.append(resolve(origin.host, origin.port))

    thread = threading.Thread(target=look_up, name="resolve", daemon=True)
    thread.start()
    thread.join(deadline.left_seconds(Failure.DNS_TIMEOUT))
    if thread.is_alive():
        raise failed(Failure.DNS_TIMEOUT)
    return found[0] if found else ()


def _connected(address: Address, timeout_seconds: float) -> socket.socket:
    sock = socket.socket(address.family, socket.SOCK_STREAM)  # fails for a family that the system lacks
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.settimeout(timeout_seconds)
        sock.connect(address.sockaddr)
    except BaseException:
        _close([sock])
        raise
    return sock


def _by_turns(addresses: Sequence[Address]) -> Sequence[Address]:
    """Alternate between the families, beginning with the system's first choice."""
    first = addresses[0].family
    one = [address for address in addresses if address.family == first]
    other = [address for address in addresses if address.family != first]
    return [address for address in chain(*zip_longest(one, other)) if address]


def _has_news(sock: socket.socket) -> bool:
    """Whether an idle connection has something to read: its end, or rubbish."""
    readable = poll()
    readable.register(sock, POLLIN)
    return bool(readable.poll(0))


def _close(socks: Sequence[socket.socket]) -> None:
    for sock in socks:
        with contextlib.suppress(OSError):
            sock.close()

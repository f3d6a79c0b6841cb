"""The only door to the network.

A `requests` session without proxies, redirects, cookies or anything from the environment. Its transport adapter
speaks HTTP/1.1 over connections of our own (see `connections`): they lead only to addresses that were checked,
end in time and stay open between requests.
"""

import ssl
import time
from collections import OrderedDict
from dataclasses import dataclass
from functools import cache
from http.cookiejar import DefaultCookiePolicy
from threading import Lock
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict
from requests.utils import DEFAULT_CA_BUNDLE_PATH

from gateway.deliver.connections import Connections, Limits, Origin, Resolve, resolve
from gateway.deliver.destination import url_mistakes
from gateway.deliver.failures import Failure
from gateway.deliver.wire import Answer, failed
from gateway.model.delivery import OutboundRequest, Response

_ROUTES_KEPT = 512
_DEFAULT_PORTS = {"http": 80, "https": 443}
_DEFAULT_HEADERS = (("Accept", "*/*"), ("Accept-Encoding", "identity"), ("Connection", "keep-alive"))
_WORDS = (
    (requests.ConnectTimeout, Failure.CONNECT_TIMEOUT),
    (requests.Timeout, Failure.READ_TIMEOUT),
    (requests.exceptions.SSLError, Failure.TLS_FAILED),
    (requests.ConnectionError, Failure.UNREACHABLE),
    (requests.RequestException, Failure.BAD_RESPONSE),
)


class Sender:
    """Sends requests and returns what was answered, whatever its status code; safe to share between threads."""

    def __init__(
        self,
        *,
        timeout_seconds: float,
        allow_private: bool,
        max_response_bytes: int = 65_536,
        pool_size: int = 16,
        tls: ssl.SSLContext | None = None,
        resolve: Resolve = resolve,
    ) -> None:
        """`timeout_seconds` bounds one attempt as a whole; of a longer answer only the beginning is read.

        `allow_private` lets requests reach addresses that are not public; `pool_size` connections stay open per host.
        """
        limits = Limits(
            timeout_seconds=timeout_seconds,
            allow_private=allow_private,
            max_response_bytes=max_response_bytes,
            pool_size=pool_size,
        )
        self._max_response_bytes = max_response_bytes
        self._connections = Connections(limits, tls or trusting_context(), resolve, time.monotonic)
        self._session = _session(_Transport(self._connections))
        self._routes = _Routes()

    def send(self, request: OutboundRequest) -> Response:
        """Send once; raises DeliveryFailed with the word of a Failure when no answer came."""
        prepared = _prepared(request, self._routes.route(request.url))
        try:
            reply = self._session.send(prepared, stream=True, proxies={})
            with reply:
                body = reply.raw.read(self._max_response_bytes)
        except requests.RequestException as error:
            # The text of the error may repeat the URL, which may hold secrets: it must not travel with ours.
            raise failed(next(word for family, word in _WORDS if isinstance(error, family))) from None
        headers, broken = tuple(reply.headers.items()), getattr(reply.raw, "broken", "")
        return Response(status_code=reply.status_code, headers=headers, body=body, broken=broken)

    def reach(self, url: str) -> None:
        """Connect to where `url` leads and hang up, without sending anything; raises DeliveryFailed."""
        self._connections.reach(self._routes.route(url).origin)

    def close(self) -> None:
        """Close what is idle; requests under way may finish, later ones fail with `closed`."""
        self._connections.close()
        self._session.close()


@cache
def trusting_context() -> ssl.SSLContext:
    """Verify certificates by what the system trusts, and by the bundle that comes with requests."""
    context = ssl.create_default_context()
    context.load_verify_locations(DEFAULT_CA_BUNDLE_PATH)
    context.set_alpn_protocols(["http/1.1"])
    return context


@dataclass(frozen=True, slots=True)
class _Route:
    """What a URL comes to: whom to connect to, and what the request says."""

    origin: Origin
    url: str
    target: str
    host: str


class _Routes:
    """The routes of the URLs used last; reading a URL costs more than sending to it."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._routes: OrderedDict[str, _Route] = OrderedDict()

    def route(self, url: str) -> _Route:
        with self._lock:
            route = self._routes.get(url)
            if route:
                self._routes.move_to_end(url)
                return route
        route = _read_url(url)
        with self._lock:
            self._routes[url] = route
            if len(self._routes) > _ROUTES_KEPT:
                self._routes.popitem(last=False)
        return route


def _read_url(url: str) -> _Route:
    if url_mistakes(url):
        raise failed(Failure.URL_INVALID)
    prepared = requests.PreparedRequest()
    try:
        prepared.prepare_url(url, None)
        parts = urlsplit(prepared.url or "")
        port = parts.port or _DEFAULT_PORTS[parts.scheme]
        host = parts.netloc.encode("ascii").decode("ascii")
    except (requests.RequestException, ValueError, KeyError):
        raise failed(Failure.URL_INVALID) from None
    origin = Origin(parts.scheme == "https", parts.hostname or "", port)
    return _Route(origin, str(prepared.url), prepared.path_url, host)


class _Prepared(requests.PreparedRequest):
    """A prepared request that knows its route and its first bytes."""

    route: _Route
    head: bytes


def _prepared(request: OutboundRequest, route: _Route) -> _Prepared:
    given = {name.lower() for name, _ in request.headers}
    defaults = tuple(pair for pair in _DEFAULT_HEADERS if pair[0].lower() not in given)
    headers = (*request.headers, *defaults, ("Content-Length", str(len(request.body))))
    prepared = _Prepared()
    prepared.method, prepared.url, prepared.body = request.method, route.url, request.body
    prepared.headers = CaseInsensitiveDict(headers)
    prepared.route, prepared.head = route, _head(request.method, route, headers)
    return prepared


def _head(method: str, route: _Route, headers: tuple[tuple[str, str], ...]) -> bytes:
    lines = [f"{method} {route.target} HTTP/1.1", f"Host: {route.host}"]
    lines += [f"{name}: {value}" for name, value in headers]
    head = "\r\n".join(lines)
    if head.count("\r") != len(lines) - 1 or head.count("\n") != len(lines) - 1 or "\0" in head:
        raise failed(Failure.HEADER_INVALID)
    try:
        return head.encode("latin-1") + b"\r\n\r\n"
    except UnicodeEncodeError:
        raise failed(Failure.HEADER_INVALID) from None


class _Session(requests.Session):
    """A session to which a redirect is an answer like any other: its body is not read, its target not looked at."""

    def get_redirect_target(self, resp: requests.Response) -> str | None:  # noqa: ARG002 - the name is the library's
        return None


def _session(transport: HTTPAdapter) -> requests.Session:
    session = _Session()
    session.trust_env = False
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    session.mount("https://", transport)
    session.mount("http://", transport)
    return session


class _Transport(HTTPAdapter):
    """Puts our connections where urllib3's would be used; `send` itself stays the library's, so that fakes of it work.

    The overridden methods are those that the library exposes for subclasses.
    """

    def __init__(self, connections: Connections) -> None:
        super().__init__()
        self._connections = connections

    def get_connection_with_tls_context(self, request: Any, *_: Any, **__: Any) -> Any:
        return _Line(self._connections, request)

    def cert_verify(self, *_: Any) -> None:
        """Leave TLS to the connections, which always verify."""

    def build_response(self, req: Any, resp: Any) -> requests.Response:
        """Take the answer as it is: the library also guesses an encoding, and trips over some `Content-Type`s."""
        response = requests.Response()
        response.status_code, response.raw = resp.status, resp
        response.headers = CaseInsensitiveDict(resp.headers)
        response.request, response.url = req, str(req.url)
        return response

    def request_url(self, request: Any, *_: Any) -> str:
        return str(request.route.target)


class _Line:
    """Stands where a connection pool of urllib3 would."""

    def __init__(self, connections: Connections, request: _Prepared) -> None:
        self._connections = connections
        self._request = request

    def urlopen(self, *, body: bytes, **_: object) -> "_Raw":
        return _Raw(self._connections.exchange(self._request.route.origin, self._request.head + body))


class _Raw:
    """Stands where a response of urllib3 would; everything has been read."""

    reason = ""

    def __init__(self, answer: Answer) -> None:
        self.status = answer.status_code
        self.headers = answer.headers
        self.broken = answer.broken
        self._body = answer.body

    def read(self, _: int) -> bytes:
        return self._body

    def close(self) -> None:
        """Nothing is held."""

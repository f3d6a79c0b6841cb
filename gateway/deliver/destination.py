"""What every kind of destination can do, and what kinds have in common."""

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Protocol
from urllib.parse import urlsplit

from gateway.model.consent import Category
from gateway.model.delivery import Destination, OutboundRequest, Outcome, OutcomeKind, Parcel, Response
from gateway.model.order import TopicGroup

GONE = 410
RETRIED_CLIENT_ERRORS = frozenset({408, 409, 425, 429})
RETRY_AFTER_LIMIT_SECONDS = 86_400.0

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_PRINTABLE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_DIGITS = re.compile(r"[0-9]+")
_HOST_AND_PORT = re.compile(r"(\[[0-9a-fA-F:.]+(%[\w.~-]+)?\]|([\w.-]|%[0-9a-fA-F]{2})+)(:[0-9]*)?")
# Headers that frame a request or belong to one connection; only the door writes them.
_FRAMING = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "keep-alive", "te", "trailer", "upgrade", "expect"}
)


class DestinationKind(Protocol):
    """One kind of destination; an `identity_required` kind cannot take an event without a person."""

    identity_required: bool
    default_purposes: tuple[Category, ...]

    def check(self, destination: Destination) -> tuple[str, ...]:
        """Return the mistakes in its configuration, each as `key: what is wrong`, never with the value itself."""
        ...

    def build_request(self, destination: Destination, parcel: Parcel, now: datetime) -> OutboundRequest:
        """Build the request of one attempt; raises DeliveryFailed when the parcel can never be sent."""
        ...

    def takes(self, destination: Destination, group: TopicGroup, topic: str) -> bool:
        """Whether the destination chose this topic, by the word of its group or by its exact name."""
        return group.value in destination.topics or topic in destination.topics

    def read_response(self, response: Response, now: datetime) -> Outcome:
        """Say what an answer means; by its status code unless the kind knows better."""
        return outcome_of_status(response, now)


def outcome_of_status(response: Response, now: datetime) -> Outcome:
    """Judge by status code: 2xx is delivered, 410 is gone, most of 4xx is refused, all else is tried again."""
    code = response.status_code
    match code // 100:
        case 2:
            return Outcome(kind=OutcomeKind.DELIVERED, word="ok", status_code=code)
        case 4 if code not in RETRIED_CLIENT_ERRORS:
            return Outcome(kind=OutcomeKind.REFUSED, word=f"http_{code}", status_code=code, gone=code == GONE)
    seconds = retry_after(response, now)
    return Outcome(kind=OutcomeKind.RETRY, word=f"http_{code}", status_code=code, retry_after_seconds=seconds)


def retry_after(response: Response, now: datetime) -> float | None:
    """Read `Retry-After`, seconds or an HTTP date, as seconds from `now` (0 to a day); None without a readable one."""
    text = header(response, "retry-after").strip()
    if _DIGITS.fullmatch(text):
        seconds = float(text[:12])
    else:
        moment = _http_date(text)
        if moment is None:
            return None
        seconds = (moment - now).total_seconds()
    return min(max(seconds, 0.0), RETRY_AFTER_LIMIT_SECONDS)


def header(response: Response, name: str) -> str:
    """Return the first header of that name, in any case; empty when there is none."""
    return next((value for key, value in response.headers if key.lower() == name), "")


def own_headers(destination: Destination, protected: frozenset[str]) -> tuple[tuple[str, str], ...]:
    """Return the destination's configured headers, without any that would replace a `protected` one."""
    return tuple(pair for pair in destination.headers if pair[0].lower() not in protected | _FRAMING)


def header_mistakes(destination: Destination, protected: frozenset[str]) -> tuple[str, ...]:
    """Find configured headers that could not be sent, or would replace the gateway's own."""
    return tuple(
        f"headers.{name if _TOKEN.fullmatch(name) else '?'}: {mistake}"
        for name, value in destination.headers
        if (mistake := _header_mistake(name, value, protected))
    )


def _header_mistake(name: str, value: str, protected: frozenset[str]) -> str:
    if not _TOKEN.fullmatch(name):
        return "is not a header name"
    if name.lower() in protected | _FRAMING:
        return "is set by the gateway itself"
    if not _PRINTABLE.fullmatch(value) or value != value.strip():
        return "holds line breaks, other control characters, outer spaces, or characters beyond Latin-1"
    return ""


def url_mistakes(url: str) -> tuple[str, ...]:
    """Find what keeps a URL from being called; the answer never repeats the URL, which may hold secrets."""
    mistake = _url_mistake(url)
    return (f"url: {mistake}",) if mistake else ()


def _url_mistake(url: str) -> str:
    if re.search(r"[\x00-\x20\x7f\\]", url):
        return "holds spaces, control characters or backslashes"
    if not re.match(r"https?://[^/?#]", url, re.IGNORECASE):
        return "must begin with https:// or http:// and a host name" if url else "is missing"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return "its host or port cannot be read"
    if "@" in parts.netloc:
        return "holds a user name or password; put credentials into headers"
    is_readable = _HOST_AND_PORT.fullmatch(parts.netloc) and host.strip(".")
    if not is_readable or host.startswith(".") or ".." in host or port == 0:
        return "its host or port cannot be read"
    return "has a fragment (#...), which is never sent" if parts.fragment else ""


def visible_ascii(text: str) -> str:
    """Return `text` as it may stand in a header: what is not printable ASCII becomes `?`."""
    return re.sub(r"[^\x20-\x7e]", "?", text).strip()


def user_agent() -> str:
    """Return how the gateway names itself to destinations."""
    try:
        return f"consent-gateway/{version('consent-gateway')}"
    except PackageNotFoundError:
        return "consent-gateway"


def _http_date(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)

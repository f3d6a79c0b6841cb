"""Asking a store's API: one request at a time, patient with rate limits, and never with a secret in a URL."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlencode, urlsplit

from gateway.deliver.attempt import Door
from gateway.deliver.destination import header, retry_after, user_agent
from gateway.errors import BodyMalformed, DeliveryFailed
from gateway.flow.stores.api import StoreFailed
from gateway.ingest.body import read_body, write_body
from gateway.model.delivery import OutboundRequest, Response

_TRIES: Final = 4
_MOST_WAIT_SECONDS: Final = 60.0  # a store that asks for more is left until the next run
_LOOPBACK: Final = frozenset(("localhost", "127.0.0.1", "::1"))
_NOT_FOUND: Final = frozenset((404, 410))
_BUSY: Final = 429
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NEXT: Final = re.compile(r'<([^>]*)>\s*;[^,]*\brel\s*=\s*"?next\b')


@dataclass(frozen=True, slots=True)
class Answer:
    """What a store answered; a list stands under `items`."""

    payload: dict[str, object] = field(repr=False)
    response: Response = field(repr=False)

    def header(self, name: str) -> str:
        """Return a header, or an empty text."""
        return header(self.response, name)

    @property
    def next_url(self) -> str:
        """The link to the next page, or an empty text."""
        found = _NEXT.search(self.header("link"))
        return found[1] if found else ""


class StoreClient:
    """Asks one store."""

    def __init__(self, door: Door, base_url: str, *, wait: Callable[[float], None]) -> None:
        """Send by `door`; `wait` sleeps for that many seconds."""
        self._door = door
        self._base_url = base_url
        self._wait = wait

    def get(self, path: str, parameters: Mapping[str, str], headers: Mapping[str, str]) -> Answer | None:
        """Return what the store answers; None for what is not there."""
        return self._ask("GET", path, parameters, headers, b"")

    def put(self, path: str, payload: Mapping[str, object], headers: Mapping[str, str]) -> Answer | None:
        """Change something in the store."""
        return self._ask("PUT", path, {}, headers, write_body(payload))

    def pause(self, seconds: float) -> None:
        """Give the store time."""
        self._wait(seconds)

    def _ask(
        self, method: str, path: str, parameters: Mapping[str, str], headers: Mapping[str, str], body: bytes
    ) -> Answer | None:
        request = OutboundRequest(
            method=method,
            url=f"{self._base_url}{path}" + (f"?{urlencode(parameters)}" if parameters else ""),
            headers=(
                ("Accept", "application/json"),
                ("User-Agent", user_agent()),
                *((("Content-Type", "application/json"),) if body else ()),
                *headers.items(),
            ),
            body=body,
        )
        for tried in range(_TRIES):
            delay = 2.0**tried
            try:
                response = self._door.send(request)
            except DeliveryFailed as failure:
                word = failure.word
            else:
                word = _trouble(response)
                if not word:
                    return _read(response)
                delay = _asked_to_wait(response, delay)
            if tried + 1 == _TRIES or delay > _MOST_WAIT_SECONDS:
                raise StoreFailed(word)
            self._wait(delay)
        raise StoreFailed("no_answer")


def base_url_of(address: str, *, allow_plain: bool) -> str:
    """Return where a store's API begins; raises StoreFailed where credentials would travel in the clear."""
    parts = urlsplit(address if "://" in address else f"//{address}")
    is_loopback = (parts.hostname or "") in _LOOPBACK
    scheme = parts.scheme or ("http" if is_loopback and allow_plain else "https")
    if not parts.hostname or parts.username or (scheme != "https" and not (is_loopback and allow_plain)):
        raise StoreFailed("https_needed")
    return f"{scheme}://{parts.netloc}{parts.path.rstrip('/')}"


def _trouble(response: Response) -> str:
    """Return why the store is to be asked again, in a word; "" where its answer stands."""
    is_busy = response.status_code == _BUSY or response.status_code // 100 == 5  # noqa: PLR2004 - 5xx
    return f"http_{response.status_code}" if is_busy else response.broken


def _asked_to_wait(response: Response, usual_seconds: float) -> float:
    # Shopify writes fractions of seconds: https://shopify.dev/docs/api/usage/rate-limits
    text = header(response, "retry-after").strip()
    if re.fullmatch(r"[0-9]{1,6}\.[0-9]+", text):
        return float(text)
    seconds = retry_after(response, _EPOCH) if text.isdigit() else None
    return usual_seconds if seconds is None else max(seconds, 0.1)


def _read(response: Response) -> Answer | None:
    code = response.status_code
    if code in _NOT_FOUND:
        return None
    if code // 100 != 2:  # noqa: PLR2004 - 2xx
        raise StoreFailed(f"http_{code}")
    body = response.body.removeprefix(b"\xef\xbb\xbf").strip()
    try:
        payload = read_body(b'{"items":' + body + b"}" if body[:1] == b"[" else body)
    except BodyMalformed as error:
        raise StoreFailed("unreadable") from error
    return Answer(payload, response)

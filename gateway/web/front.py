"""Store webhooks, answered before Flask sees them: its way to a view costs more than recording an order."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from http import HTTPStatus
from typing import Any, Final

import orjson
from werkzeug.exceptions import ClientDisconnected, HTTPException
from werkzeug.wsgi import get_content_length, get_input_stream

from gateway.errors import BodyTooLarge, NotRecorded, WebhookRejected
from gateway.flow.gateway import Gateway
from gateway.telemetry import log_error
from gateway.web.errors import RETRY_AFTER_SECONDS

Environ = dict[str, Any]
Answer = tuple[int, dict[str, str], dict[str, str]]  # code, JSON, more headers

_PATH: Final = "/webhooks/"


class Front:
    """Answers `POST /webhooks/{store_id}` and hands everything else to the application."""

    def __init__(self, wrapped: Callable[..., Iterable[bytes]], gateway: Gateway) -> None:
        """Stand before `wrapped`."""
        self._wrapped = wrapped
        self._gateway = gateway

    def __call__(self, environ: Environ, start_response: Any) -> Iterable[bytes]:
        path: str = environ["PATH_INFO"]
        store_id = path[len(_PATH) :]
        if environ["REQUEST_METHOD"] != "POST" or not path.startswith(_PATH) or not store_id or "/" in store_id:
            return self._wrapped(environ, start_response)
        code, answer, more = answer_webhook(self._gateway, store_id, environ)
        body = orjson.dumps(answer)
        headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body))), *more.items()]
        start_response(_STATUS_LINES[code], headers)
        return [body]


def answer_webhook(gateway: Gateway, store_id: str, environ: Environ) -> Answer:
    """Record one webhook and return what the store is told; it never depends on consent, policy or destinations."""
    try:
        receipt = gateway.receive_webhook(store_id, _Headers(environ), _body(gateway, store_id, environ))
    except WebhookRejected as error:
        return error.code, {"status": error.status, "reason": str(error)}, {}
    except NotRecorded as error:
        return _not_recorded(error)
    except HTTPException as error:  # the store went away in the middle of the body
        return error.code or HTTPStatus.BAD_REQUEST, {"status": (error.name or "error").lower().replace(" ", "_")}, {}
    except Exception as error:  # noqa: BLE001 - nothing was recorded, and the store is told to send it again
        log_error("webhook", error)
        return _not_recorded(NotRecorded())
    return HTTPStatus.OK, {"status": receipt.status, "reason": receipt.reason}, {}


def _not_recorded(error: NotRecorded) -> Answer:
    answer = {"status": "not_recorded", "reason": str(error)}
    return HTTPStatus.SERVICE_UNAVAILABLE, answer, {"Retry-After": str(RETRY_AFTER_SECONDS)}


def _body(gateway: Gateway, store_id: str, environ: Environ) -> bytes:
    """Read what was sent, but nothing for a store that is not there."""
    if gateway.settings.store(store_id) is None:
        return b""
    most_bytes = gateway.settings.web.max_body_bytes
    length = get_content_length(environ)
    if length is None:  # in chunks: it ends one byte beyond the bound, and so is seen to be longer
        length, body = 0, _chunks(environ, most_bytes + 1)
    else:
        body = b"" if length > most_bytes else _whole(environ["wsgi.input"], length)
    if max(length, len(body)) > most_bytes:
        gateway.telling.refused(store_id, BodyTooLarge())
        raise BodyTooLarge
    return body


def _whole(stream: Any, length: int) -> bytes:
    try:
        body: bytes = stream.read(length)
        while len(body) < length and (more := stream.read(length - len(body))):
            body += more
    except (OSError, ValueError) as error:
        raise ClientDisconnected from error
    return body


def _chunks(environ: Environ, most_bytes: int) -> bytes:
    return get_input_stream(environ, max_content_length=most_bytes).read()


class _Headers(Mapping[str, str]):
    """The headers of a request, read where they lie: of dozens two or three are asked for."""

    __slots__ = ("_environ",)

    def __init__(self, environ: Environ) -> None:
        self._environ = environ

    def __getitem__(self, name: str) -> str:
        value: str = self._environ[_key(name)]
        return value

    def __iter__(self) -> Iterator[str]:
        return (key.removeprefix(_PREFIX).replace("_", "-") for key in self._environ if _is_header(key))

    def __len__(self) -> int:
        return sum(map(_is_header, self._environ))


def _is_header(key: str) -> bool:
    return key.startswith(_PREFIX) or key in _BARE


@lru_cache(maxsize=256)
def _key(name: str) -> str:
    key = name.upper().replace("-", "_")
    return key if key in _BARE else _PREFIX + key


_PREFIX: Final = "HTTP_"
_BARE: Final = ("CONTENT_TYPE", "CONTENT_LENGTH")
_STATUS_LINES: Final = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}

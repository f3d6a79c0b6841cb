"""Consent in: from browsers, from a store's server, and taken back."""

from http import HTTPStatus

from flask import Blueprint, Response, request
from flask.typing import ResponseReturnValue

from gateway.errors import RequestInvalid, StoreUnknown
from gateway.flow.gateway import Gateway
from gateway.flow.signals import States, has_denial, read_posted, receive_signal, receive_withdrawal
from gateway.model.consent import Category, Channel, Signal
from gateway.settings import StoreSettings
from gateway.web.access import store_token
from gateway.web.posted import posted_body
from gateway.web.shedding import Floodgate, Shed

MOST_BYTES = 16 * 1024
_MOST_SERVER_BYTES = 64 * 1024
_TYPES = ("", "application/json", "text/plain")
_PREFLIGHT_SECONDS = 86_400
_SHOWN = (Category.MARKETING, Category.ANALYTICS)


def make_signals(gateway: Gateway) -> Blueprint:
    """Return the routes by which consent comes in: for browsers, for servers, and for withdrawals."""
    signals = Blueprint("signals", __name__)
    floodgate = Floodgate(gateway.settings.web.signals_per_minute)

    @signals.route("/consent/<store_id>", methods=["OPTIONS"])
    def preflight(store_id: str) -> ResponseReturnValue:
        if not _is_allowed(_store(gateway, store_id)):
            return _forbidden()
        headers = {
            "Access-Control-Allow-Methods": "POST",
            "Access-Control-Allow-Headers": "Content-Type",
            "Access-Control-Max-Age": str(_PREFLIGHT_SECONDS),
        }
        return "", HTTPStatus.NO_CONTENT, headers

    @signals.post("/consent/<store_id>")
    def from_browser(store_id: str) -> ResponseReturnValue:
        if not _is_allowed(_store(gateway, store_id)):
            return _forbidden()
        return _from_browser(gateway, floodgate, store_id)

    @signals.after_request
    def share(response: Response) -> Response:
        is_open = request.endpoint in ("signals.preflight", "signals.from_browser")
        return _shared(response) if is_open and response.status_code != HTTPStatus.FORBIDDEN else response

    @signals.post("/api/v1/stores/<store_id>/consent")
    @store_token(gateway)
    def from_server(store_id: str) -> ResponseReturnValue:
        body = posted_body(_MOST_SERVER_BYTES)
        signal = read_posted(gateway.parts, body, channel=Channel.SERVER, sec_gpc=_has_gpc())
        return _recorded(receive_signal(gateway.parts, store_id, signal))

    @signals.post("/api/v1/stores/<store_id>/withdrawals")
    @store_token(gateway)
    def withdrawals(store_id: str) -> ResponseReturnValue:
        receive_withdrawal(gateway.parts, store_id, posted_body(_MOST_SERVER_BYTES))
        return _recorded(None)

    return signals


def _from_browser(gateway: Gateway, floodgate: Floodgate, store_id: str) -> ResponseReturnValue:
    body = posted_body(MOST_BYTES)
    read = _read(gateway, body)
    is_denial = isinstance(read, Signal) and has_denial(read)
    shed = floodgate.admit(store_id, request.remote_addr or "", is_denial=is_denial)
    if shed is not None:
        gateway.telling.signalled(store_id, Channel.BROWSER, "shed")
        return _too_many(shed)
    if isinstance(read, RequestInvalid):
        return {"status": "invalid", "errors": read.errors}, HTTPStatus.BAD_REQUEST
    return _recorded(receive_signal(gateway.parts, store_id, read))


def _read(gateway: Gateway, body: bytes) -> Signal | RequestInvalid:
    """Read a signal; what cannot be read is a value too, so that it counts against its sender."""
    if request.mimetype not in _TYPES:
        return RequestInvalid({"content_type": ["Must be application/json or text/plain."]})
    try:
        return read_posted(gateway.parts, body, channel=Channel.BROWSER, sec_gpc=_has_gpc())
    except RequestInvalid as error:
        return error


def _store(gateway: Gateway, store_id: str) -> StoreSettings:
    store = gateway.settings.store(store_id)
    if store is None:
        raise StoreUnknown
    return store


def _is_allowed(store: StoreSettings) -> bool:
    """Whether a page of this origin may speak; sandboxed pages have none, or `null`."""
    return not store.origins or (request.headers.get("Origin") or "null") in store.origins


def _has_gpc() -> bool:
    """Whether the browser objects (https://w3c.github.io/gpc/); a header that comes twice reaches us as one, `0, 1`."""
    return any(said.strip() == "1" for said in request.headers.get("Sec-GPC", "").split(","))


def _shared(response: Response) -> Response:
    """Let the page that asked read the answer."""
    origin = request.headers.get("Origin")
    if origin is not None:
        response.headers["Access-Control-Allow-Origin"] = origin
    response.vary.add("Origin")
    response.headers["Cache-Control"] = "no-store"
    return response


def _recorded(states: States | None) -> ResponseReturnValue:
    answer: dict[str, object] = {"status": "recorded"}
    if states is not None:
        answer["state"] = {category.value: states[category].value for category in _SHOWN}
    return answer, HTTPStatus.ACCEPTED


def _forbidden() -> ResponseReturnValue:
    return {"status": "forbidden", "reason": "this origin may not speak for the store"}, HTTPStatus.FORBIDDEN


def _too_many(shed: Shed) -> ResponseReturnValue:
    answer = {"status": "too_many_requests", "reason": "too many signals came within a minute"}
    return answer, HTTPStatus.TOO_MANY_REQUESTS, {"Retry-After": str(shed.retry_after_seconds)}

"""Families of errors become answers, in one place; no answer holds a person's data."""

from http import HTTPStatus

from flask import Flask, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException

from gateway.errors import NotRecorded, RequestInvalid, WebhookRejected
from gateway.storage.sealing import CannotOpen
from gateway.telemetry import log_error

Told = tuple[dict[str, str], int, dict[str, str]]  # JSON, code, more headers

_RETRY_AFTER_SECONDS = 30


def register_errors(app: Flask) -> None:
    """Answer every error that a route lets through."""
    app.register_error_handler(WebhookRejected, rejected)
    app.register_error_handler(NotRecorded, not_recorded)
    app.register_error_handler(RequestInvalid, _invalid)
    app.register_error_handler(CannotOpen, _cannot_open)
    app.register_error_handler(HTTPException, _http)


def rejected(error: WebhookRejected) -> Told:
    """Return what is told of what is refused for good."""
    return {"status": error.status, "reason": str(error)}, error.code, {}


def not_recorded(error: NotRecorded) -> Told:
    """Return what is told of what should be sent again."""
    answer = {"status": "not_recorded", "reason": str(error)}
    return answer, HTTPStatus.SERVICE_UNAVAILABLE, {"Retry-After": str(_RETRY_AFTER_SECONDS)}


def _invalid(error: RequestInvalid) -> ResponseReturnValue:
    return {"status": "invalid", "errors": error.errors}, HTTPStatus.BAD_REQUEST


def _cannot_open(error: CannotOpen) -> ResponseReturnValue:
    log_error("web", error)
    return {"status": "cannot_open", "reason": str(error)}, HTTPStatus.SERVICE_UNAVAILABLE


def _http(error: HTTPException) -> ResponseReturnValue:
    if request.path.startswith("/admin"):
        return error
    headers = {name: value for name, value in error.get_headers() if name in ("Allow", "Retry-After")}
    return http_answer(error), error.code or 500, headers


def http_answer(error: HTTPException) -> dict[str, str]:
    """Return what is told of a request that HTTP itself refuses: unknown paths, other methods."""
    return {"status": error.name.lower().replace(" ", "_"), "reason": error.description or ""}

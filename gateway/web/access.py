"""Who may ask: the bearer token of a store."""

from collections.abc import Callable
from functools import wraps
from http import HTTPStatus
from typing import Any

from flask import abort, request
from flask.typing import ResponseReturnValue

from gateway.flow.gateway import Gateway

View = Callable[..., ResponseReturnValue]

#: Marks a view as guarded, so that a test can prove it of every route.
GUARD = "__guarded_by__"


def store_token(gateway: Gateway) -> Callable[[View], View]:
    """Guard a view whose URL names a `store_id`: 401 without a token that counts, 403 for another store's."""

    def guard(view: View) -> View:
        @wraps(view)
        def guarded(store_id: str, **arguments: Any) -> ResponseReturnValue:
            scheme, _, token = request.headers.get("Authorization", "").partition(" ")
            scope = gateway.scope_of(token.strip()) if scheme.lower() == "bearer" and token else None
            if scope is None:
                answer = {"status": "unauthorized", "reason": "a bearer token of this store is needed"}
                return answer, HTTPStatus.UNAUTHORIZED, {"WWW-Authenticate": "Bearer"}
            if scope.store_id != store_id:
                return {"status": "forbidden", "reason": "the token is another store's"}, HTTPStatus.FORBIDDEN
            if gateway.settings.store(store_id) is None:
                return {"status": "store", "reason": "there is no such store"}, HTTPStatus.NOT_FOUND
            if holds_nul():
                abort(HTTPStatus.NOT_FOUND)
            return view(store_id=store_id, **arguments)

        setattr(guarded, GUARD, "store_token")
        return guarded

    return guard


def holds_nul(*texts: str) -> bool:
    """Whether a request's address, or any of `texts`, holds the one character that PostgreSQL refuses."""
    return any("\0" in text for text in (request.path, *request.args.values(), *texts))

"""Sign-in is throttled, counted in the database so that several processes count together."""

from hashlib import sha256
from typing import Any

from flask import Flask, Response, request
from flask_limiter import Limiter
from limits.storage import Storage

from gateway.errors import GatewayError
from gateway.flow.gateway import Gateway
from gateway.storage import throttles
from gateway.storage.database import Database
from gateway.web.admin.context import the_user
from gateway.web.shedding import network_of

PER_HOST = "10 per 5 minutes"
PER_NAME = "50 per hour"


class DatabaseCounters(Storage):
    """Counters of the limiter, kept as rows; keys are hashed, for they hold addresses and names."""

    STORAGE_SCHEME = ["gateway"]  # noqa: RUF012 - the library's own attribute

    def __init__(self, uri: str | None = None, wrap_exceptions: bool = False, **options: Any) -> None:  # noqa: FBT002 - the library's signature
        """Take the gateway's database as the option `database`."""
        super().__init__(uri, wrap_exceptions=wrap_exceptions)
        self._database: Database = options["database"]

    @property
    def base_exceptions(self) -> type[Exception]:
        """What a failing database raises."""
        return GatewayError

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        return throttles.count_try(self._database, _hidden(key), life_seconds=expiry, amount=amount)

    def get(self, key: str) -> int:
        return throttles.tries(self._database, _hidden(key))[0]

    def get_expiry(self, key: str) -> float:
        return throttles.tries(self._database, _hidden(key))[1].timestamp()

    def check(self) -> bool:
        return True

    def reset(self) -> int | None:
        return throttles.forget_tries(self._database)

    def clear(self, key: str) -> None:
        throttles.forget_tries(self._database, _hidden(key))


def _hidden(key: str) -> str:
    return sha256(key.encode()).hexdigest()


def _host() -> str:
    """Whom a try is counted against: REMOTE_ADDR, in which only trusted proxies have a say."""
    return network_of(request.remote_addr or "")


def _user() -> str:
    return str(the_user().user_id)


def _name() -> str:
    return request.form.get("name", "").strip().casefold()[:100]


def _has_failed(response: Response) -> bool:
    return response.status_code not in (302, 303)


def set_up_throttle(app: Flask, gateway: Gateway) -> None:
    """Limit how often signing in may fail: per host, and per name from wherever it is tried.

    One's present password can be guessed as often on the account page, by whoever finds a browser unattended.
    """
    app.config["RATELIMIT_STORAGE_OPTIONS"] = {"database": gateway.database}
    limiter = Limiter(
        _host,
        app=app,
        storage_uri="gateway://",
        strategy="fixed-window",
        headers_enabled=False,
    )
    for endpoint, limit, key in _LIMITS:
        view: Any = app.view_functions[endpoint]
        limited = limiter.limit(limit, key_func=key, methods=["POST"], deduct_when=_has_failed)
        app.view_functions[endpoint] = limited(view)


_LIMITS = (
    ("admin.sign_in", PER_HOST, _host),
    ("admin.sign_in", PER_NAME, _name),
    ("admin.account_password", PER_HOST, _user),
)

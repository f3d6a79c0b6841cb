"""Stores' APIs on a real socket: they page, count calls, fail on command, and keep whatever order they are told to."""

import base64
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as the store got it."""

    method: str
    path: str
    query: dict[str, str]
    authorization: str
    body: bytes
    url: str


@dataclass
class StoreApi:
    """What both fakes share. `failures` are answered first: a status code, and seconds for Retry-After or None."""

    page_size: int = 100
    failures: list[tuple[int, float | None]] = field(default_factory=list)
    fails_at: dict[int, int] = field(default_factory=dict)  # the n-th request, from 1, gets this status code
    breaks_off_at: set[int] = field(default_factory=set)  # the n-th request gets half of its answer
    before_answer: Callable[[Asked], None] | None = None
    asked: list[Asked] = field(default_factory=list)

    def __enter__(self) -> Self:
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                api._handle(self)

            def do_PUT(self) -> None:
                api._handle(self)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._server.server_address[1]}"

    @property
    def settings(self) -> Json:
        """What [stores.api] has to hold."""
        raise NotImplementedError

    @property
    def paths(self) -> list[str]:
        return [one.path for one in self.asked]

    def answer(self, asked: Asked) -> tuple[int, Any, dict[str, str]]:
        raise NotImplementedError

    def is_allowed(self, request: BaseHTTPRequestHandler) -> bool:
        raise NotImplementedError

    def _handle(self, request: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(request.path)
        asked = Asked(
            method=request.command,
            path=parts.path,
            query={key: values[0] for key, values in parse_qs(parts.query).items()},
            authorization=request.headers.get("Authorization", ""),
            body=request.rfile.read(int(request.headers.get("Content-Length") or 0)),
            url=request.path,
        )
        self.asked.append(asked)
        if self.before_answer is not None:
            self.before_answer(asked)
        code, payload, headers = self._failed(request) or self.answer(asked)
        body = json.dumps(payload).encode()
        request.send_response(code)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}.items():
            request.send_header(name, value)
        request.end_headers()
        request.close_connection = len(self.asked) in self.breaks_off_at
        request.wfile.write(body[: len(body) // 2] if request.close_connection else body)

    def _failed(self, request: BaseHTTPRequestHandler) -> tuple[int, Any, dict[str, str]] | None:
        if len(self.asked) in self.fails_at:
            return self.fails_at[len(self.asked)], {"message": "no"}, {}
        if self.failures:
            code, seconds = self.failures.pop(0)
            return code, {"message": "no"}, {} if seconds is None else {"Retry-After": str(seconds)}
        if not self.is_allowed(request):
            return 401, {"code": "woocommerce_rest_cannot_view", "message": "no", "data": {"status": 401}}, {}
        return None


@dataclass
class WooApi(StoreApi):
    """`wc/v3` of a shop; `is_shuffled` ignores the order that was asked for."""

    orders: dict[str, Json] = field(default_factory=dict)
    subscriptions: dict[str, Json] = field(default_factory=dict)
    subscription_orders: dict[str, list[str]] = field(default_factory=dict)
    webhooks: list[Json] = field(default_factory=list)
    is_shuffled: bool = False
    has_subscriptions: bool = True
    key: str = "ck_test"
    secret: str = "cs_test"

    @property
    def settings(self) -> Json:
        return {"url": f"http://{self.address}", "key": self.key, "secret": self.secret}

    def put(self, *orders: Json) -> None:
        self.orders |= {str(order["id"]): order for order in orders}

    def is_allowed(self, request: BaseHTTPRequestHandler) -> bool:
        pair = base64.b64encode(f"{self.key}:{self.secret}".encode()).decode()
        return request.headers.get("Authorization") == f"Basic {pair}"

    def answer(self, asked: Asked) -> tuple[int, Any, dict[str, str]]:
        match asked.path.removeprefix("/wp-json/wc/v3/").split("/"):
            case ["orders"]:
                return self._page(asked, self._orders(asked))
            case ["subscriptions"] if self.has_subscriptions:
                return self._page(asked, self._changed(asked, self.subscriptions))
            case ["webhooks"]:
                return self._page(asked, self.webhooks)
            case ["webhooks", one] if asked.method == "PUT":
                return self._change_webhook(one, json.loads(asked.body))
            case parts:
                found = self._one(parts)
        missing = {"code": "rest_no_route", "message": "no", "data": {"status": 404}}
        return (404, missing, {}) if found is None else (200, found, {})

    def _one(self, parts: list[str]) -> Any:
        match parts:
            case ["orders", one]:
                return self.orders.get(one)
            case ["subscriptions", one]:
                return self.subscriptions.get(one)
            case ["subscriptions", one, "orders"] if one in self.subscription_orders:
                return [self.orders[order] for order in self.subscription_orders[one]]
        return None

    def _orders(self, asked: Asked) -> list[Json]:
        found = self._changed(asked, self.orders)
        if customer := asked.query.get("customer"):
            found = [one for one in found if str(one["customer_id"]) == customer]
        return found

    def _changed(self, asked: Asked, kept: dict[str, Json]) -> list[Json]:
        found = [one for one in kept.values() if one["status"] != "trash"]
        if after := asked.query.get("modified_after"):
            assert asked.query["dates_are_gmt"] == "true"
            assert not after.endswith("Z")
            found = [one for one in found if one["date_modified_gmt"] > after]
        if self.is_shuffled:
            return sorted(found, key=lambda one: str(one["id"])[::-1])
        is_falling = asked.query.get("order") != "asc"
        if asked.query.get("orderby") == "id":
            return sorted(found, key=lambda one: int(one["id"]), reverse=is_falling)
        key = "date_modified_gmt" if asked.query.get("orderby") == "modified" else "date_created_gmt"
        # Like WordPress, which breaks ties of time as its database likes: not the same way for each page.
        tie = 1 if int(asked.query.get("page", "1")) % 2 else -1
        return sorted(found, key=lambda one: (one[key], tie * int(one["id"])), reverse=is_falling)

    def _page(self, asked: Asked, found: list[Json]) -> tuple[int, Any, dict[str, str]]:
        size = min(int(asked.query.get("per_page", "10")), self.page_size)
        number = int(asked.query.get("page", "1"))
        pages = -(-len(found) // size)
        headers = {"X-WP-Total": str(len(found)), "X-WP-TotalPages": str(pages)}
        return 200, found[(number - 1) * size : number * size], headers

    def _change_webhook(self, webhook_id: str, changes: Json) -> tuple[int, Any, dict[str, str]]:
        for webhook in self.webhooks:
            if str(webhook["id"]) == webhook_id:
                webhook.update(changes)
                return 200, webhook, {}
        return 404, {}, {}


@dataclass
class ShopifyApi(StoreApi):
    """The REST Admin API of a shop, with cursors in Link headers and a bucket of calls."""

    orders: dict[str, Json] = field(default_factory=dict)
    token: str = "shpat_test"
    used: int = 1

    @property
    def settings(self) -> Json:
        return {"domain": self.address, "token": self.token}

    def put(self, *orders: Json) -> None:
        self.orders |= {str(order["id"]): order for order in orders}

    def is_allowed(self, request: BaseHTTPRequestHandler) -> bool:
        return request.headers.get("X-Shopify-Access-Token") == self.token

    def answer(self, asked: Asked) -> tuple[int, Any, dict[str, str]]:
        match asked.path.split("/")[4:]:
            case ["orders.json"]:
                return self._page(asked, list(self.orders.values()))
            case ["customers", customer, "orders.json"]:
                return self._page(
                    asked, [one for one in self.orders.values() if str((one["customer"] or {}).get("id")) == customer]
                )
            case ["orders", name] if name.removesuffix(".json") in self.orders:
                return 200, {"order": self.orders[name.removesuffix(".json")]}, {}
        return 404, {"errors": "Not Found"}, {}

    def _page(self, asked: Asked, found: list[Json]) -> tuple[int, Any, dict[str, str]]:
        limits = {"X-Shopify-Shop-Api-Call-Limit": f"{self.used}/40"}
        if cursor := asked.query.get("page_info"):
            if asked.query.keys() - {"page_info", "limit"}:
                return 400, {"errors": "page_info takes no filters"}, limits
            filters, _, start = base64.b64decode(cursor).decode().partition("|")
        else:
            filters, start = asked.query.get("updated_at_min", ""), "0"
        found = sorted(
            (one for one in found if not filters or _instant(one["updated_at"]) >= _instant(filters)),
            key=lambda one: _instant(one["updated_at"]),
        )
        size, first = min(int(asked.query.get("limit", "50")), self.page_size), int(start)
        if first + size < len(found):
            cursor = base64.b64encode(f"{filters}|{first + size}".encode()).decode()
            url = f"https://elsewhere.example/admin/api/orders.json?limit={size}&page_info={cursor}"
            limits["Link"] = f'<{url}>; rel="next"'
        return 200, {"orders": found[first : first + size]}, limits


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)

"""Consent over HTTP, as browsers and servers post it."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from gateway.settings import Settings
from gateway.storage.tokens import add_token
from gateway.web import create_app
from tests.shops import ALL, NONE, Shop, a_woo_order, open_shop, settings_for
from tests.visitors import a_session

SHOP = "https://shop.example"
ANSWER = {"session_id": a_session(), "state": "answered", "categories": {"marketing": True, "analytics": False}}
GRANT = ANSWER | {"categories": ALL}
DENIAL = ANSWER | {"categories": NONE}
Open = Callable[..., "Site"]


class Site:
    """A shop's gateway over HTTP."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.client: FlaskClient = create_app(shop.gateway).test_client()
        database, now = shop.gateway.database, shop.clock()
        self.token = database.write(lambda connection: add_token(connection, "shop", "acme", now))

    def beacon(self, body: dict[str, Any] | bytes, **options: Any) -> TestResponse:
        """Post as a browser does."""
        given = {"content_type": "text/plain;charset=UTF-8", "headers": {"Origin": SHOP}, "path": "/consent/acme"}
        posted = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.client.post(data=posted, **given | options)

    def post(self, path: str, body: Any, token: str | None = None) -> TestResponse:
        """Post as a server does."""
        headers = {"Authorization": f"Bearer {token or self.token}"}
        return self.client.post(f"/api/v1/stores/acme/{path}", json=body, headers=headers)


@pytest.fixture
def open_(sqlite_url: str) -> Iterator[Open]:
    shops: list[Shop] = []

    def make(*, origins: tuple[str, ...] = (), web: dict[str, Any] | None = None, **policy: Any) -> Site:
        settings = settings_for(sqlite_url, **policy)
        shops.append(open_shop(_changed(settings, origins, web or {})))
        return Site(shops[-1])

    yield make
    for shop in shops:
        shop.gateway.close()


def _changed(settings: Settings, origins: tuple[str, ...], web: dict[str, Any]) -> Settings:
    stores = tuple(replace(store, origins=origins) for store in settings.stores)
    return replace(settings, stores=stores, web=replace(settings.web, **web))


def test_beacon_is_recorded_and_answered_with_the_state(open_: Open) -> None:
    answer = open_().beacon(ANSWER)
    assert answer.status_code == 202
    assert answer.json == {"status": "recorded", "state": {"marketing": "granted", "analytics": "denied"}}
    assert answer.headers["Access-Control-Allow-Origin"] == SHOP
    assert "Origin" in answer.headers["Vary"]


def test_preflight_lets_json_through(open_: Open) -> None:
    headers = {
        "Origin": SHOP,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type",
    }
    answer = open_(origins=(SHOP,)).client.options("/consent/acme", headers=headers)
    assert answer.status_code == 204
    assert answer.headers["Access-Control-Allow-Origin"] == SHOP
    assert answer.headers["Access-Control-Allow-Methods"] == "POST"
    assert answer.headers["Access-Control-Allow-Headers"] == "Content-Type"


@pytest.mark.parametrize(
    ("origins", "origin", "code"),
    [
        ((), None, 202),
        ((), "https://elsewhere.example", 202),
        ((SHOP,), SHOP, 202),
        ((SHOP,), "https://elsewhere.example", 403),
        ((SHOP,), "https://shop.example.evil.example", 403),
        ((SHOP,), "null", 403),
        ((SHOP,), None, 403),
        ((SHOP, "null"), "null", 202),
        ((SHOP, "null"), None, 202),
        ((SHOP, "null"), "https://elsewhere.example", 403),
    ],
)
def test_only_origins_of_the_store_may_speak(
    open_: Open, origins: tuple[str, ...], origin: str | None, code: int
) -> None:
    site = open_(origins=origins)
    headers = {"Origin": origin} if origin else {}
    assert site.beacon(ANSWER, headers=headers).status_code == code
    preflight = site.client.options("/consent/acme", headers=headers)
    assert preflight.status_code == (403 if code == 403 else 204)
    if code == 403:
        assert "Access-Control-Allow-Origin" not in preflight.headers


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({**ANSWER, "session_id": "short"}, "session_id"),
        ({**ANSWER, "seq": "1"}, "seq"),
        ({**ANSWER, "state": "maybe"}, "state"),
        ({**ANSWER, "customer_id": "7"}, "customer_id"),
        ({**ANSWER, "order_id": "7"}, "order_key"),
        ({"state": "pending"}, "session_id"),
        (b"[1]", "body"),
        (b"{", "body"),
        (b"\xff", "body"),
        (json.dumps(ANSWER).replace("{", '{"session_id": "x", ', 1).encode(), "body"),
        (b'{"categories": {"marketing": false, "marketing": true}}', "body"),
    ],
)
def test_mistakes_are_named_by_field(open_: Open, body: Any, field: str) -> None:
    answer = open_().beacon(body)
    assert answer.status_code == 400
    assert answer.json is not None
    assert field in answer.json["errors"]
    assert answer.headers["Access-Control-Allow-Origin"] == SHOP


def test_form_is_no_signal(open_: Open) -> None:
    answer = open_().beacon(ANSWER, content_type="application/x-www-form-urlencoded")
    assert answer.status_code == 400


def test_body_is_bounded_and_store_must_exist(open_: Open) -> None:
    site = open_()
    assert site.beacon(b" " * (16 * 1024) + b"{}").status_code == 413
    padded = json.dumps(ANSWER).encode().ljust(16 * 1024)
    assert site.beacon(padded).status_code == 202
    assert site.beacon(ANSWER, path="/consent/nobody").status_code == 404


def test_header_of_the_browser_denies_whatever_the_body_says(open_: Open) -> None:
    site = open_()
    answer = site.beacon(GRANT, headers={"Sec-GPC": "1"})
    assert answer.json == {"status": "recorded", "state": {"marketing": "denied", "analytics": "granted"}}


@pytest.mark.parametrize("said", ["1,1", "0, 1", " 1 "])
def test_header_of_the_browser_that_came_twice_denies(open_: Open, said: str) -> None:
    answer = open_().beacon(GRANT, headers={"Sec-GPC": said})
    assert answer.json == {"status": "recorded", "state": {"marketing": "denied", "analytics": "granted"}}


def test_answer_shows_nothing_of_orders(open_: Open) -> None:
    site = open_()
    site.shop.post(a_woo_order(1))
    named = {"order_id": "1", "state": "answered", "categories": ALL}
    answers = [site.beacon(named | {"order_key": key}) for key in ("wc_order_1", "guessed")]
    answers.append(site.beacon({"checkout_token": "unheard-of", "state": "answered", "categories": ALL}))
    assert {(one.status_code, one.get_data()) for one in answers} == {(202, answers[0].get_data())}
    assert answers[0].json == {"status": "recorded"}


def test_flood_sheds_grants_and_never_denials(open_: Open) -> None:
    site = open_(web={"signals_per_minute": 3})
    assert [site.beacon(GRANT).status_code for _ in range(4)] == [202, 202, 202, 429]
    shed = site.beacon({"session_id": a_session(), "state": "pending"})
    assert (shed.status_code, set(shed.json or {})) == (429, {"status", "reason"})
    assert int(shed.headers["Retry-After"]) > 0
    assert shed.headers["Access-Control-Allow-Origin"] == SHOP
    assert [site.beacon(DENIAL).status_code for _ in range(20)] == [202] * 20
    assert site.beacon({"session_id": a_session(), "state": "pending"}, headers={"Sec-GPC": "1"}).status_code == 202


def test_what_cannot_be_read_counts_against_its_sender(open_: Open) -> None:
    site = open_(web={"signals_per_minute": 2})
    assert [site.beacon(b"{").status_code for _ in range(3)] == [400, 400, 429]


def test_visitors_behind_a_trusted_proxy_are_counted_one_by_one(open_: Open) -> None:
    site = open_(web={"signals_per_minute": 1, "trusted_proxies": ("127.0.0.1", "10.0.0.0/8")})

    def code(forwarded: str) -> int:
        return site.beacon(GRANT, headers={"X-Forwarded-For": forwarded}).status_code

    assert code("203.0.113.1") == 202
    assert code("203.0.113.2, 10.0.0.7") == 202
    assert code("198.51.100.9, 203.0.113.1") == 429


def test_visitor_cannot_choose_an_address_where_no_proxy_is_trusted(open_: Open) -> None:
    site = open_(web={"signals_per_minute": 1})
    codes = [site.beacon(GRANT, headers={"X-Forwarded-For": f"203.0.113.{n}"}).status_code for n in range(2)]
    assert codes == [202, 429]


def test_host_of_ipv6_counts_once(open_: Open) -> None:
    site = open_(web={"signals_per_minute": 1, "trusted_proxies": ("127.0.0.1",)})
    addresses = ("2001:db8::1", "2001:db8::2", "2001:db8:0:1::1")
    codes = [site.beacon(GRANT, headers={"X-Forwarded-For": one}).status_code for one in addresses]
    assert codes == [202, 429, 202]


def test_server_speaks_for_customers_with_its_token(open_: Open) -> None:
    site = open_()
    answer = site.post("consent", {"customer_id": "7", "categories": {"marketing": True}})
    assert answer.status_code == 202
    assert answer.json == {"status": "recorded", "state": {"marketing": "granted", "analytics": "pending"}}
    assert site.post("consent", {"customer_id": "7"}, token="guessed").status_code == 401
    assert site.post("consent", {"categories": ALL}).status_code == 400


def test_withdrawal_is_answered_202(open_: Open) -> None:
    site = open_()
    site.beacon(ANSWER)
    answer = site.post("withdrawals", {"session_id": a_session(), "categories": ["marketing"]})
    assert (answer.status_code, answer.json) == (202, {"status": "recorded"})
    assert site.beacon({"session_id": a_session(), "state": "pending"}).json == {
        "status": "recorded",
        "state": {"marketing": "denied", "analytics": "denied"},
    }
    assert site.post("withdrawals", {}).status_code == 400
    assert site.post("withdrawals", {"email": "jan@example.com"}, token="guessed").status_code == 401

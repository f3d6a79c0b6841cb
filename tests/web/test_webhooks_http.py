"""What a store is answered over HTTP, row by row."""

import base64
import hmac
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from gateway.model.order import Platform
from gateway.settings import DestinationSettings, Settings
from gateway.web import create_app
from tests.captures import Capture, capture
from tests.shops import ALL, NONE, SECRET, Shop, a_woo_order, an_entry, open_shop, settings_for

CREATED = "order.created"


@dataclass
class Door:
    """A store's view of the gateway: it signs, posts and reads the answer."""

    shop: Shop
    client: FlaskClient

    def post(self, body: bytes, headers: Mapping[str, str], store_id: str = "acme", **options: Any) -> TestResponse:
        return self.client.post(f"/webhooks/{store_id}", data=body, headers=dict(headers), **options)

    def woo(self, payload: object, topic: str = CREATED, secret: str = SECRET, **options: Any) -> TestResponse:
        body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        return self.post(body, woo_headers(body, topic, secret), **options)

    def send(self, one: Capture, **changes: str) -> TestResponse:
        return self.post(one.body, {**one.headers, **changes})

    @property
    def stored(self) -> int:
        return len(self.shop.deliveries())


def woo_headers(body: bytes, topic: str = CREATED, secret: str = SECRET) -> dict[str, str]:
    return {
        "Content-Type": "application/json",
        "X-WC-Webhook-Topic": topic,
        "X-WC-Webhook-Signature": base64.b64encode(hmac.digest(secret.encode(), body, "sha256")).decode(),
    }


def open_door(settings: Settings) -> Door:
    shop = open_shop(settings)
    return Door(shop=shop, client=create_app(shop.gateway).test_client())


@pytest.fixture
def woo(sqlite_url: str) -> Iterator[Door]:
    door = open_door(settings_for(sqlite_url))
    yield door
    door.shop.gateway.close()


@pytest.fixture
def shopify(sqlite_url: str) -> Iterator[Door]:
    settings = settings_for(sqlite_url, platform="shopify")
    secret = capture(Platform.SHOPIFY, "01").secret
    door = open_door(replace(settings, stores=(replace(settings.stores[0], secrets=(secret,)),)))
    yield door
    door.shop.gateway.close()


def told(response: TestResponse) -> tuple[int, str, str]:
    answer = response.get_json()
    assert set(answer) == {"status", "reason"}
    return response.status_code, answer["status"], answer["reason"]


def test_order_is_accepted(woo: Door) -> None:
    assert told(woo.woo(a_woo_order())) == (200, "accepted", "")
    assert woo.stored == 1


def test_every_secret_of_the_store_may_sign(sqlite_url: str) -> None:
    settings = settings_for(sqlite_url)
    door = open_door(replace(settings, stores=(replace(settings.stores[0], secrets=("new", "old")),)))

    answers = [told(door.woo(a_woo_order(), secret=secret))[:2] for secret in ("old", "new", "older")]
    door.shop.gateway.close()

    assert answers == [(200, "accepted"), (200, "accepted"), (401, "signature")]


def test_same_body_under_the_same_topic_is_a_duplicate(woo: Door) -> None:
    order = a_woo_order()
    woo.woo(order)

    assert told(woo.woo(order)) == (200, "duplicate", "")
    assert woo.stored == 1


def test_created_and_updated_with_equal_bodies_are_two_webhooks(woo: Door) -> None:
    order = a_woo_order()

    assert told(woo.woo(order, "order.created"))[1] == "accepted"
    assert told(woo.woo(order, "order.updated"))[1] == "accepted"
    assert woo.stored == 2


def test_colliding_delivery_ids_of_woocommerce_mean_nothing(woo: Door) -> None:
    bodies = [json.dumps(a_woo_order()).encode() for _ in range(2)]

    answers = [woo.post(body, {**woo_headers(body), "X-WC-Webhook-Delivery-ID": "same"}) for body in bodies]

    assert [told(answer)[1] for answer in answers] == ["accepted", "accepted"]


def test_shopify_repeats_a_webhook_under_its_id(shopify: Door) -> None:
    one = capture(Platform.SHOPIFY, "01")

    assert told(shopify.send(one)) == (200, "accepted", "")
    assert told(shopify.send(one)) == (200, "duplicate", "")


def test_shopify_change_is_known_under_another_webhook_id_too(shopify: Door) -> None:
    one = capture(Platform.SHOPIFY, "01")
    shopify.send(one)

    again = shopify.send(one, **{"X-Shopify-Webhook-Id": "another-webhook-id"})

    assert told(again) == (200, "duplicate", "")


def test_ping_is_an_unsigned_form(woo: Door) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}

    assert told(woo.post(b"webhook_id=12", form)) == (200, "ignored", "ping")
    assert told(woo.post(b"webhook_id=12&order=1", form))[:2] == (401, "signature")
    assert told(woo.post(b"webhook_id=x", form))[:2] == (401, "signature")


@pytest.mark.parametrize(
    ("payload", "topic", "reason"),
    [
        (a_woo_order(status="checkout-draft"), "order.updated", "draft"),
        ({"code": "woocommerce_rest_cannot_view", "message": "No.", "data": {"status": 401}}, CREATED, "error_object"),
        (a_woo_order(), "product.updated", "topic"),
    ],
)
def test_what_is_no_order_is_ignored_with_a_reason(woo: Door, payload: object, topic: str, reason: str) -> None:
    assert told(woo.woo(payload, topic)) == (200, "ignored", reason)
    assert woo.stored == 0


def test_test_orders_are_ignored_unless_the_store_wants_them(shopify: Door, sqlite_url: str) -> None:
    one = capture(Platform.SHOPIFY, "01")
    assert told(shopify.send(one, **{"X-Shopify-Test": "true"})) == (200, "ignored", "test")

    settings = shopify.shop.settings
    wanting = open_door(replace(settings, stores=(replace(settings.stores[0], test_orders=True),)))
    answer = told(wanting.send(one, **{"X-Shopify-Test": "true"}))
    wanting.shop.gateway.close()

    assert answer == (200, "accepted", "")


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b'"order"', b"null", b"\xff\xfe", b"{}", b'{"id": 5}', b'{"a":' * 200 + b"1" + b"}" * 200],
    ids=["empty", "cut", "array", "text", "null", "not-utf8", "nothing", "id-only", "deep"],
)
def test_signed_but_of_no_known_shape_is_malformed(woo: Door, body: bytes) -> None:
    code, status, reason = told(woo.woo(body))

    assert (code, status) == (400, "malformed")
    assert reason.endswith(".")
    assert woo.stored == 0


def test_webhook_that_names_no_topic_is_malformed(woo: Door) -> None:
    assert told(woo.woo(a_woo_order(), topic=""))[:2] == (400, "malformed")


@pytest.mark.parametrize(
    "signature", [None, "", "x", "AAAA", "ä", base64.b64encode(bytes(32)).decode(), "=" * 44, "a" * 100_000]
)
def test_missing_or_wrong_signature_stores_nothing(woo: Door, signature: str | None) -> None:
    body = json.dumps(a_woo_order()).encode()
    headers = {name: value for name, value in woo_headers(body).items() if not name.endswith("Signature")}
    if signature is not None:
        headers["X-WC-Webhook-Signature"] = signature

    assert told(woo.post(body, headers))[:2] == (401, "signature")
    assert woo.stored == 0


def test_signature_covers_every_byte(woo: Door) -> None:
    body = json.dumps(a_woo_order()).encode()

    assert told(woo.post(body + b" ", woo_headers(body)))[:2] == (401, "signature")


@pytest.mark.parametrize("store_id", ["other", "ACME", "acme%20", "..", "%00"])
def test_other_stores_are_unknown(woo: Door, store_id: str) -> None:
    assert told(woo.woo(a_woo_order(), store_id=store_id))[:2] == (404, "store")


def limited(door: Door, most_bytes: int) -> Door:
    settings = door.shop.settings
    return open_door(replace(settings, web=replace(settings.web, max_body_bytes=most_bytes)))


def test_body_up_to_the_limit_is_read_and_a_longer_one_is_not(woo: Door) -> None:
    body = json.dumps(a_woo_order()).encode()
    fitting, tight = limited(woo, len(body)), limited(woo, len(body) - 1)

    assert told(fitting.post(body, woo_headers(body)))[:2] == (200, "accepted")
    assert told(tight.post(body, woo_headers(body)))[:2] == (413, "too_large")
    for door in (fitting, tight):
        door.shop.gateway.close()


class Endless(io.RawIOBase):
    """A body without a length that goes on for as long as anybody reads."""

    def __init__(self) -> None:
        self.given = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self.given += len(buffer)
        buffer[:] = b"x" * len(buffer)
        return len(buffer)


def test_body_without_a_length_is_read_to_the_limit_and_no_further(woo: Door) -> None:
    endless = Endless()

    response = woo.client.post(
        "/webhooks/acme",
        headers={"Transfer-Encoding": "chunked"},
        environ_overrides={"wsgi.input": endless, "wsgi.input_terminated": True},
    )

    assert told(response)[:2] == (413, "too_large")
    assert endless.given < 2 * woo.shop.settings.web.max_body_bytes


def test_chunked_body_within_the_limit_is_read_whole(woo: Door) -> None:
    body = json.dumps(a_woo_order()).encode()

    response = woo.client.post(
        "/webhooks/acme",
        input_stream=io.BytesIO(body),
        headers={**woo_headers(body), "Transfer-Encoding": "chunked"},
        environ_overrides={"wsgi.input_terminated": True},
    )

    assert told(response)[:2] == (200, "accepted")


class Slow(io.BytesIO):
    """A body that arrives piece by piece."""

    def read(self, size: int | None = -1) -> bytes:
        return super().read(min(size or 0, 1000))


class Broken(io.BytesIO):
    """A connection that ends in the middle of a body."""

    def read(self, size: int | None = -1) -> bytes:
        raise OSError(size)


def test_body_that_comes_in_pieces_is_read_whole(woo: Door) -> None:
    body = json.dumps(a_woo_order(customer_note="x" * 5000)).encode()

    response = woo.post(body, woo_headers(body), environ_overrides={"wsgi.input": Slow(body)})

    assert told(response)[:2] == (200, "accepted")


def test_store_that_goes_away_in_the_middle_of_a_body_is_told_so(woo: Door) -> None:
    response = woo.post(b"{}", woo_headers(b"{}"), environ_overrides={"wsgi.input": Broken()})

    assert (response.status_code, response.get_json()["status"]) == (400, "bad_request")
    assert woo.stored == 0


def test_what_cannot_be_recorded_is_to_be_sent_again(woo: Door, tmp_path: Path) -> None:
    order = a_woo_order()
    (tmp_path / "gateway.db").rename(tmp_path / "away.db")

    response = woo.woo(order)

    assert told(response)[:2] == (503, "not_recorded")
    assert int(response.headers["Retry-After"]) > 0
    (tmp_path / "away.db").rename(tmp_path / "gateway.db")
    assert told(woo.woo(order))[:2] == (200, "accepted")


@pytest.mark.parametrize("mode", ["off", "suppress", "anonymize"])
def test_consent_and_policy_never_change_the_answer(sqlite_url: str, mode: str) -> None:
    door = open_door(settings_for(sqlite_url, mode=mode, unknown="deny"))
    entries: list[str | None] = [
        None,
        an_entry({**ALL}),
        an_entry({**NONE}),
        an_entry({}, state="pending"),
        "{garbled",
        "",
        "[]",
        "null",
    ]

    answers = [told(door.woo(a_woo_order(entry=entry))) for entry in entries]
    door.shop.gateway.close()

    assert answers == [(200, "accepted", "")] * len(entries)


def test_destinations_never_change_the_answer(sqlite_url: str) -> None:
    settings = settings_for(sqlite_url)
    dead = DestinationSettings(id="dead", url="http://127.0.0.1:9/nobody")
    doors = [open_door(replace(settings, destinations=found)) for found in ((), (dead,))]

    answers = [told(door.woo(a_woo_order())) for door in doors]
    for door in doors:
        door.shop.gateway.close()

    assert answers == [(200, "accepted", "")] * 2


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_other_methods_are_refused_in_json(woo: Door, method: str) -> None:
    response = woo.client.open("/webhooks/acme", method=method)

    assert response.status_code == 405
    assert response.headers["Allow"].replace(" ", "").split(",").count("POST") == 1
    assert response.get_json()["status"] == "method_not_allowed"
    assert "not allowed" in response.get_json()["reason"]

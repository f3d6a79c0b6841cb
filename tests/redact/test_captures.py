"""Redaction of every request that a real store sent."""

import itertools
from typing import Any

import orjson
import pytest

from gateway.ingest.body import read_body, write_body
from gateway.model.decision import Strip
from gateway.model.order import Platform
from gateway.redact.apply import Shape, redact
from gateway.redact.proof import prove
from tests.captures import Capture, captures
from tests.redact import orders

STRIPS = [
    Strip(marketing=m, analytics=a, either=e, stale=s)
    for m, a, e, s in itertools.product((False, True), repeat=4)
    if m or a or e or s
]
BODIES = [
    capture
    for platform in Platform
    for capture in captures(platform)
    if not capture.is_ping and capture.body.startswith(b"{")
]
ORDERS = [capture for capture in BODIES if "customer" not in capture.topic]
# Seen by eye in the captures: addresses, names, numbers, cookies, click ids, keys and tokens.
SEEN = [
    "novak@example",
    "@example.com",
    "@Example.com",
    "30 1234567",
    "1234567.1795",
    "777 123 456",
    "602 000 111",
    "Teststraße",
    "Dlouhá",
    "Novák",
    "Dvořáková",
    '"Berlin"',
    '"10115"',
    "110 00",
    "Fbclid",
    "fb.0.1795",
    "fb.1.1795",
    "111111111",
    "LabGclid",
    "AdminGclid",
    "BrowserGclid",
    "123.456",
    '"wc_order_',
    "key=wc_order_",
    "order-pay",
    "Mozilla",
    "labtx_",
    "klingeln",
    "Classic note",
    "Lab refund",
    "gravatar",
    "/customers/",
    "_gcl_au",
    "Moreau",
    "Ines",
    "Rue des Lilas",
    "Lyon",
    "69003",
    "45.7578",
    "33612345678",
    "203.0.113.24",
    "iPhone;",
    "fbclid",
    "gad_source",
    "Cj0KC",
    "111222333",
    "555lab",
    "FR40303265045",
    "authenticate?key",
    "tok10",
    "hWN2Kx5QbYFq1m7lab",
    "c0ffee",
    "115310627314723954",
    "715243470612851245",
    "size too small",
    "asked for blue",
    "_consent_gateway",
    "902541635",
    "checkout_id",
    "9999.",
]
ECOMMERCE = [
    "id",
    "number",
    "order_number",
    "name",
    "status",
    "currency",
    "total",
    "total_tax",
    "discount_total",
    "shipping_total",
    "date_created_gmt",
    "total_price",
    "subtotal_price",
    "created_at",
    "financial_status",
    "order_id",
    "billing_period",
    "next_payment_date_gmt",
    "total_price_set",
    "tax_lines",
    "processed_at",
    "parent_id",
]
ITEM = [
    "id",
    "name",
    "sku",
    "quantity",
    "price",
    "total",
    "total_tax",
    "taxes",
    "product_id",
    "title",
    "price_set",
    "tax_lines",
]


def shape_of_capture(capture: Capture) -> Shape:
    if capture.platform is Platform.SHOPIFY:
        shapes = {"refunds/create": Shape.SHOPIFY_REFUND, "orders/edited": Shape.SHOPIFY_OTHER}
        fallback = Shape.SHOPIFY_CUSTOMER if capture.topic.startswith("customers") else Shape.SHOPIFY_ORDER
        return shapes.get(capture.topic, fallback)
    kinds = {"customer": Shape.WOOCOMMERCE_CUSTOMER, "subscription": Shape.WOOCOMMERCE_SUBSCRIPTION}
    return kinds.get(capture.topic.split(".")[0], Shape.WOOCOMMERCE_ORDER)


@pytest.mark.parametrize("platform", Platform)
@pytest.mark.parametrize("strip", STRIPS, ids=str)
def test_every_capture_is_proven_under_every_strip(platform: Platform, strip: Strip) -> None:
    for capture in BODIES:
        if capture.platform is platform and "big-order" not in capture.name:
            redacted = redact(read_body(capture.body), shape=shape_of_capture(capture), strip=strip, rules=orders.SHOP)
            assert prove(write_body(redacted.payload), redacted.denied) == (), capture.name


@pytest.mark.parametrize("capture", BODIES, ids=lambda capture: capture.name[:24])
def test_denied_capture_holds_nothing_that_an_eye_saw(capture: Capture) -> None:
    redacted = redact(read_body(capture.body), shape=shape_of_capture(capture), strip=orders.DENIED, rules=orders.SHOP)
    outbound = write_body(redacted.payload)
    assert [seen for seen in SEEN if seen.encode() in outbound] == []


@pytest.mark.parametrize("capture", ORDERS, ids=lambda capture: capture.name[:24])
def test_denied_capture_keeps_its_ecommerce_data_as_the_store_wrote_it(capture: Capture) -> None:
    payload: dict[str, Any] = read_body(capture.body)
    kept: Any = redact(payload, shape=shape_of_capture(capture), strip=orders.DENIED, rules=orders.SHOP).payload
    for key in ECOMMERCE:
        if key in payload:
            assert orjson.dumps(kept[key], default=str) == orjson.dumps(without_meta(payload[key]), default=str)
    for before, after in zip(payload.get("line_items", []), kept.get("line_items", []), strict=True):
        assert {key: before[key] for key in ITEM if key in before} == {key: after[key] for key in ITEM if key in after}
        assert set(ITEM) & set(before) <= set(after)


def without_meta(value: Any) -> Any:
    """Tax lines lose the metadata of plugins; in these captures there is none."""
    if isinstance(value, list):
        assert all(not entry.get("meta_data") for entry in value)
    return value


def test_nothing_that_is_granted_goes() -> None:
    """Only what both could use is denied: contact data, click ids and cookies of both categories stay."""
    order = next(capture for capture in BODIES if capture.name.startswith("016"))
    payload: Any = read_body(order.body)
    redacted = redact(payload, shape=Shape.WOOCOMMERCE_ORDER, strip=Strip(either=True), rules=orders.SHOP)
    kept: Any = redacted.payload
    assert kept["billing"] == payload["billing"]
    for key in ("_ga", "_fbp", "_fbc", "_gcl_au", "gclid", "_wc_order_attribution_session_entry"):
        before = next(entry["value"] for entry in payload["meta_data"] if entry["key"] == key)
        assert before in [entry["value"] for entry in kept["meta_data"] if entry["key"] == key]

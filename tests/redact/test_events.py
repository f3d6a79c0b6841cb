"""Redaction of session events and of what other plugins send as events."""

import json
from typing import Any

import orjson
import pytest

from gateway.redact.apply import Redacted, Shape, redact
from gateway.redact.proof import prove
from tests.redact import orders
from tests.redact.orders import gate, text_of

EVENT: dict[str, Any] = {
    "event": "add_to_cart",
    "event_id": "e-1",
    "event_time": "2026-11-21T15:54:04Z",
    "session_id": "sess_abcdefghijklmnopqrstuv",
    "customer_id": "23",
    "user_data": {"email": "a@b.example", "phone": "+49171234567", "external_id": "u-1"},
    "properties": {
        "value": 12.5,
        "currency": "EUR",
        "items": [{"item_id": "1", "item_name": "Mug", "price": 12.5, "quantity": 1, "engraving": "For Annabella"}],
        "search_term": "gift for Annabella",
        "gclid": "abc",
        "ga_client_id": "111111111.1795300000",
    },
    "context": {
        "ip": "203.0.113.9",
        "user_agent": "Mozilla/5.0 (X11)",
        "page_location": "https://shop.example/p/mug?gclid=1&utm_source=g",
    },
}
CUSTOMER = {"billing_email": "gtmkit@example.com", "billing_phone": "+49 30 1234567", "billing_city": "Berlin"}
PURCHASE: dict[str, Any] = {
    "event": "purchase",
    "ecommerce": {
        "transaction_id": "153",
        "value": 12.9,
        "currency": "EUR",
        "items": [{"item_id": "10", "item_name": "Lab Mug", "price": 12.9, "quantity": 1}],
        "customer": CUSTOMER,
    },
    "user_data": {"sha256_email_address": "977dc22ea7ecdee2c9d19ad5481f2748b85a8a2f26482aa12f4dce0297093af6"},
}


def gated(event: dict[str, Any], strip: Any = orders.DENIED) -> Redacted:
    return gate(event, strip, Shape.EVENT)


def test_event_id_that_names_the_session_goes_with_it() -> None:
    result = gated(EVENT | {"event_id": "sess_abcdefghijklmnopqrstuv-7"})
    assert "event_id" not in result.payload
    assert "event_id" in result.removed


@pytest.mark.parametrize("is_nested", [False, True])
def test_whole_name_in_a_word_of_the_event_is_found(is_nested: bool) -> None:
    person = {"first_name": "Zoraida", "last_name": "Quenneville"}
    event = EVENT | {"user_data": {"address": person} if is_nested else person}
    event["properties"] = {"currency": "Zoraida Quenneville"}
    result = redact(event, shape=Shape.EVENT, strip=orders.DENIED, rules=orders.SHOP)
    assert prove(orjson.dumps(result.payload), result.denied)


def test_event_id_of_its_own_stays() -> None:
    for event_id in ("0d1b6e2c-6d3c-4c6e-9f0a-3b7c2f1f5a10", "wc_order_153.purchase", "1763740444.100"):
        assert gated(EVENT | {"event_id": event_id}).payload["event_id"] == event_id


def test_denied_event_keeps_its_ecommerce_data_alone() -> None:
    assert gated(EVENT).payload == {
        "event": "add_to_cart",
        "event_id": "e-1",
        "event_time": "2026-11-21T15:54:04Z",
        "properties": {
            "value": 12.5,
            "currency": "EUR",
            "items": [{"item_id": "1", "item_name": "Mug", "price": 12.5, "quantity": 1}],
        },
        "context": {"page_location": "https://shop.example/p/mug?utm_source=g"},
    }


def test_each_category_keeps_its_own_identifiers() -> None:
    marketing: Any = gated(EVENT, orders.ANALYTICS_DENIED).payload
    analytics: Any = gated(EVENT, orders.MARKETING_DENIED).payload
    assert marketing["user_data"] == {"email": "a@b.example", "phone": "+49171234567"}
    assert marketing["properties"]["gclid"] == "abc"
    assert "ga_client_id" not in marketing["properties"]
    assert analytics["properties"]["ga_client_id"] == "111111111.1795300000"
    assert "gclid" not in text_of(gated(EVENT, orders.MARKETING_DENIED))
    assert "user_data" not in analytics


def test_customer_inside_ecommerce_is_contact_data() -> None:
    redacted = gated(PURCHASE)
    assert redacted.payload["ecommerce"] == {k: v for k, v in PURCHASE["ecommerce"].items() if k != "customer"}
    assert "user_data" not in redacted.payload
    assert set(redacted.removed) == {"ecommerce.customer", "user_data"}


def test_hash_of_a_contact_is_searched_like_the_contact() -> None:
    redacted = gated(PURCHASE)
    assert any(denied.value.startswith("977dc22e") for denied in redacted.denied)


def test_customer_under_properties_is_contact_data() -> None:
    event = EVENT | {"properties": {"value": 1, "ecommerce": {"customer": CUSTOMER}, "user": CUSTOMER}}
    assert gated(event).payload["properties"] == {"value": 1, "ecommerce": {}}


def test_event_without_any_known_shape_loses_what_is_unknown() -> None:
    redacted = gated(
        {"event": "x", "payload": json.dumps({"email": "a@b.example"}), "list": [1, {"email": "a@b.example"}]}
    )
    assert redacted.payload == {"event": "x"}
    assert redacted.unknown_keys == ("list", "payload")

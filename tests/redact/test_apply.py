"""Redaction of orders: what people and plugins put where, and what must stay."""

import base64
import hashlib
import json
from typing import Any

import pytest

from gateway.model.decision import Strip
from gateway.model.order import Platform, TopicGroup
from gateway.redact.apply import Rules, Shape, redact, shape_of
from tests.redact import orders
from tests.redact.orders import gate, line_item, meta_of, text_of, with_meta, woocommerce_order

EMAIL = orders.EMAIL
SHA256 = hashlib.sha256(EMAIL.encode())
BASE64_EMAIL = base64.b64encode(EMAIL.encode()).decode()

PLACES: dict[str, dict[str, Any]] = {
    "customer note": {"customer_note": f"Please call {orders.PHONE}, Annabella"},
    "engraving": {
        "line_items": [line_item(meta_data=[{"id": 1, "key": "Engraving", "value": "For Annabella +491712345678"}])]
    },
    "fee name": {"fee_lines": [{"id": 1, "name": "Wrapped for Annabella Canarová", "total": "2.00"}]},
    "fee name with a phone in another format": {"fee_lines": [{"id": 1, "name": "Call 0171/2345678", "total": "2.00"}]},
    "coupon code": {"coupon_lines": [{"id": 1, "code": EMAIL.upper(), "discount": "1.00"}]},
    "coupon code in base64": {"coupon_lines": [{"id": 1, "code": f"X{BASE64_EMAIL}", "discount": "1.00"}]},
    "sku": {"line_items": [line_item(sku=f"MUG-{EMAIL}-L")]},
    "item name": {"line_items": [line_item(name="Mug for Canarová")]},
    "item name with a hash": {"line_items": [line_item(name=f"Mug {SHA256.hexdigest().upper()}")]},
    "item name with a base64 hash": {"line_items": [line_item(name=base64.b64encode(SHA256.digest()).decode())]},
    "parent name": {"line_items": [line_item(parent_name=f"Mug {EMAIL}")]},
    "pickup title": {"shipping_lines": [{"id": 1, "method_title": "Pickup: Canary Street 7", "total": "1.00"}]},
    "pickup point": {"shipping_lines": [{"id": 1, "meta_data": [{"key": "Pickup point", "value": orders.STREET}]}]},
    "refund reason": {"refunds": [{"id": 1, "reason": f"{EMAIL} did not like it", "total": "-1.00"}]},
    "company": {"billing": {"company": "Annabella Canarová s.r.o.", "country": "CZ"}},
    "links": {"_links": {"customer": [{"href": f"https://shop.example/customers/{EMAIL}"}]}},
    "unknown field": {"gift": {"to": [{"mail": EMAIL}]}},
    "wrong type": {"billing": [EMAIL], "shipping": EMAIL, "line_items": {"name": {"a": EMAIL}}, "total": {"x": EMAIL}},
    "word of the platform": {"created_via": EMAIL, "currency": orders.PHONE},
    "object key": {"meta_data": {EMAIL: "x"}, EMAIL: {"a": 1}},
}


@pytest.mark.parametrize("place", PLACES)
def test_identifier_goes_from_wherever_it_was_put(place: str) -> None:
    redacted = gate(woocommerce_order(**PLACES[place]))
    assert [canary for canary in orders.CANARIES if canary in text_of(redacted)] == []


@pytest.mark.parametrize("place", PLACES)
def test_names_of_what_went_hold_no_value(place: str) -> None:
    redacted = gate(woocommerce_order(**PLACES[place]))
    shown = " ".join((*redacted.removed, *redacted.unknown_keys)).casefold()
    assert [canary for canary in orders.CANARIES if canary in shown] == []


METADATA: dict[str, object] = {
    "_wcf_custom_fields": {"gift": "Annabella", "em": EMAIL},
    "pys_fb_cookie": {"fbc": "fb.1.1795300000000.CanFbc", "fbp": "fb.1.1795300000000.987654321"},
    "pys_utm": f"utm_source:google|utm_term:{EMAIL}",
    "_elevar_visitor_info": '{"fbp":"fb.1.1763000000000.555lab","gclid":"Cj0KCQlab"}',
    "json in a string in a string": json.dumps({"a": json.dumps({"email": EMAIL})}),
    "base64": base64.b64encode(json.dumps({"email": EMAIL}).encode()).decode(),
    "_gl": "1*abc*_ga*MTExMTExMTExLjE3OTUzMDAwMDA.*_gcl_aw*R0NMLjE3OTUzMDAwMDAuQ2pLQw..",
    "cookies": "_ga=GA1.1.111111111.1795300000; _fbp=fb.1.1795300000000.987654321",
    "_stripe_customer_id": "cus_ABCDEFGH12",
    "_wc_order_attribution_utm_campaign": EMAIL,
    "_wc_order_attribution_utm_term": BASE64_EMAIL,
    "_wc_order_attribution_utm_content": EMAIL.replace("@", "%2540"),
    "is_vat_exempt": EMAIL,
    "_gtmkit_consent": {"marketing": "granted"},
    "_consent_gateway": '{"v":1}',
    "vat_number": "FR40303265045",
}


@pytest.mark.parametrize("key", METADATA)
def test_denied_metadata_goes(key: str) -> None:
    redacted = gate(with_meta(key, METADATA[key]))
    assert redacted.payload["meta_data"] == []
    assert f"meta_data[{key}]" in redacted.removed


def test_unknown_metadata_is_counted_and_named() -> None:
    redacted = gate(with_meta("loyalty_card", "LC-1"), orders.ONLY_EITHER_DENIED)
    assert redacted.unknown_keys == ("Items", "loyalty_card")
    assert "meta_data[loyalty_card]" in redacted.removed


def test_unknown_key_that_is_an_identifier_is_masked() -> None:
    redacted = gate(with_meta(EMAIL, "x"))
    assert "*" in redacted.unknown_keys
    assert "meta_data[*]" in redacted.removed


@pytest.mark.parametrize("shape", Shape)
@pytest.mark.parametrize("place", ["meta_data", "note_attributes", "properties", "context", "billing", "customer"])
def test_key_that_no_database_keeps_is_masked(place: str, shape: Shape) -> None:
    inside = {"\0*\0data": "x", "thing": {"\0id": 1}}
    payload = {"id": 1, place: inside, "\0top": 1, "line_items": [{"\0sku": 1}]}
    redacted = redact(payload, shape=shape, strip=orders.DENIED, rules=Rules())
    assert "\0" not in "".join((*redacted.removed, *redacted.unknown_keys))


def test_unknown_key_that_holds_a_name_from_the_order_is_masked() -> None:
    redacted = gate(with_meta("Gift for Annabella", "x"))
    assert "meta_data[*]" in redacted.removed


def test_path_of_a_denied_value_is_masked_like_the_key_that_it_stood_under() -> None:
    redacted = gate(with_meta("Gift for Annabella", "zoe@example.org"))
    assert "meta_data[*]" in {denied.path for denied in redacted.denied}
    assert [denied.path for denied in redacted.denied if "Annabella" in denied.path] == []


def test_allowed_metadata_stays() -> None:
    rules = Rules(allow_meta_keys=frozenset({"loyalty_tier"}))
    assert meta_of(gate(with_meta("loyalty_tier", {"tier": "gold"}), rules=rules), "loyalty_tier") == {"tier": "gold"}


def test_value_outweighs_the_list_of_allowed_keys() -> None:
    rules = Rules(allow_meta_keys=frozenset({"loyalty_tier"}))
    redacted = gate(with_meta("loyalty_tier", {"tier": "gold", "who": EMAIL, "fbp": "1"}), rules=rules)
    assert meta_of(redacted, "loyalty_tier") == {"tier": "gold"}


@pytest.mark.parametrize("key", ["_ga", "_elevar__ga", "cart__ga", "attributes[_ga]", "_ga_ABC123", "google-clientID"])
def test_analytics_identifier_stays_when_only_marketing_is_denied(key: str) -> None:
    order = with_meta(key, "GA1.1.111111111.1795300000")
    assert meta_of(gate(order, orders.MARKETING_DENIED), key) == "GA1.1.111111111.1795300000"
    assert meta_of(gate(order, orders.ANALYTICS_DENIED), key) is None


@pytest.mark.parametrize("key", ["_fbp", "fbp", "_elevar_fbp", "meta._fbp", "checkout_fbp"])
def test_marketing_identifier_stays_when_only_analytics_is_denied(key: str) -> None:
    order = with_meta(key, "fb.1.1795300000000.987654321")
    assert meta_of(gate(order, orders.ANALYTICS_DENIED), key) == "fb.1.1795300000000.987654321"
    assert meta_of(gate(order, orders.MARKETING_DENIED), key) is None


def test_value_outweighs_a_key_of_another_category() -> None:
    order = with_meta("_ga", EMAIL)
    assert meta_of(gate(order, orders.MARKETING_DENIED), "_ga") is None


def test_composite_that_holds_both_goes_when_either_is_denied() -> None:
    for strip in (orders.MARKETING_DENIED, orders.ANALYTICS_DENIED):
        order = with_meta("_elevar_visitor_info", '{"ga":"GA1.1.111111111.1795300000","gclid":"Cj0KCQlab"}')
        assert meta_of(gate(order, strip), "_elevar_visitor_info") is None


def test_parts_of_an_object_are_judged_one_by_one() -> None:
    order = with_meta(
        "pys_enrich_data", {"pys_landing": "https://shop.example/?gclid=Canary123&utm_source=x", "pys_source": "d"}
    )
    assert meta_of(gate(order), "pys_enrich_data") == {
        "pys_landing": "https://shop.example/?utm_source=x",
        "pys_source": "d",
    }


def test_contact_data_stays_when_only_what_both_could_use_is_denied() -> None:
    redacted = gate(woocommerce_order(), orders.ONLY_EITHER_DENIED)
    billing: Any = redacted.payload["billing"]
    assert billing["email"] == EMAIL
    assert "customer_id" not in redacted.payload
    assert "customer_ip_address" not in redacted.payload
    assert "order_key" not in redacted.payload


def test_renewal_loses_click_ids_cookies_and_network_but_no_contact_data() -> None:
    redacted = gate(woocommerce_order(), orders.STALE)
    billing: Any = redacted.payload["billing"]
    assert billing["email"] == EMAIL
    assert redacted.payload["customer_id"] == 23
    assert meta_of(redacted, "_wc_order_attribution_utm_source") == "google"
    for key in ("_ga", "_fbp", "_fbc", "_gcl_au", "gclid", "_wc_order_attribution_user_agent"):
        assert meta_of(redacted, key) is None
    assert "customer_ip_address" not in redacted.payload
    assert "customer_user_agent" not in redacted.payload
    assert "gclid" not in text_of(redacted)


def test_item_text_that_holds_a_denied_value_becomes_its_sku() -> None:
    items: Any = gate(woocommerce_order(line_items=[line_item(name="Mug for Canarová", sku="MUG")])).payload[
        "line_items"
    ]
    assert items[0]["name"] == "MUG"


def test_sku_that_holds_a_denied_value_becomes_the_product() -> None:
    items: Any = gate(woocommerce_order(line_items=[line_item(sku=f"X-{EMAIL}", product_id=11)])).payload["line_items"]
    assert items[0]["sku"] == "11"


@pytest.mark.parametrize(
    "name", ["Cookie: Choco", "Name: the game", "Router 192.168.1.1", "Phone: case", "555-123-4567"]
)
def test_words_of_an_item_that_look_like_a_field_stay(name: str) -> None:
    items: Any = gate(woocommerce_order(line_items=[line_item(name=name)])).payload["line_items"]
    assert items[0]["name"] == name


def test_affiliate_called_like_a_campaign_takes_no_campaign_away() -> None:
    order = orders.shopify_order(landing_site="/?ref=instagram&utm_source=instagram", landing_site_ref="instagram")
    redacted = gate(order, shape=Shape.SHOPIFY_ORDER)
    assert redacted.payload["landing_site"] == "/?utm_source=instagram"
    assert "landing_site_ref" not in redacted.payload


def test_value_too_deep_or_too_long_to_be_read_goes() -> None:
    nested = "x"
    for _ in range(9):
        nested = json.dumps({"a": nested})
    rules = Rules(allow_meta_keys=frozenset({"deep", "long"}))
    for key, value in (("deep", nested), ("long", "=" * 70_000)):
        assert meta_of(gate(with_meta(key, value), rules=rules), key) is None


def test_payment_title_stays_without_card_digits() -> None:
    assert gate(woocommerce_order()).payload["payment_method_title"] == "Cash on delivery"
    assert "payment_method_title" not in gate(woocommerce_order(payment_method_title="Visa ending in 4242")).payload


def test_country_and_state_stay() -> None:
    billing = gate(woocommerce_order()).payload["billing"]
    assert billing == {"company": "", "address_2": "", "state": "DE-BE", "country": "DE"}


LOOKALIKES: dict[str, dict[str, Any]] = {
    "customer called Customer": {"first_name": "Test", "last_name": "Customer"},
    "shopper called like the currency": {"first_name": "EUR", "last_name": "DE"},
    "shopper called like a status": {"first_name": "Processing", "last_name": "Completed"},
    "city like a state": {"city": "New York", "state": "New York"},
    "city like a word of the tax": {"city": "MwSt. zone"},
    "city like a campaign": {"city": "lab_summer"},
    "postcode like an amount": {"postcode": "45.79"},
    "shopper called like a word of ours": {"first_name": "Client", "last_name": "Recorded"},
    "name of blanks": {"first_name": " ", "last_name": "-"},
    "phone like a date": {"phone": "20261122"},
}


@pytest.mark.parametrize("name", LOOKALIKES)
def test_shopper_who_is_called_like_something_else_blocks_no_order(name: str) -> None:
    order = woocommerce_order(customer_id=25)
    order["billing"] |= LOOKALIKES[name]
    redacted = gate(order)
    assert redacted.payload["total"] == "45.79"
    assert redacted.payload["number"] == "25"
    assert redacted.payload["line_items"] == gate(woocommerce_order()).payload["line_items"]


def test_private_addresses_and_the_shops_own_hosts_are_not_searched() -> None:
    for address in ("127.0.0.1", "::1", "10.1.2.3", "192.168.0.9", "fd00::1", "169.254.1.1"):
        redacted = gate(woocommerce_order(customer_ip_address=address))
        assert "customer_ip_address" in redacted.removed


def test_numbers_keep_the_text_that_they_remember() -> None:
    class Remembering(float):
        pass

    number = Remembering("24.90")
    items: Any = gate(woocommerce_order(total=number, line_items=[line_item(price=number)])).payload
    assert items["total"] is number
    assert items["line_items"][0]["price"] is number


def test_redacting_twice_changes_nothing() -> None:
    once = gate(woocommerce_order())
    assert gate(dict(once.payload)).payload == once.payload


@pytest.mark.parametrize(
    ("platform", "group", "topic", "shape"),
    [
        (Platform.WOOCOMMERCE, TopicGroup.ORDERS, "order.updated", Shape.WOOCOMMERCE_ORDER),
        (Platform.WOOCOMMERCE, TopicGroup.SUBSCRIPTIONS, "subscription.created", Shape.WOOCOMMERCE_SUBSCRIPTION),
        (Platform.WOOCOMMERCE, TopicGroup.CUSTOMERS, "customer.updated", Shape.WOOCOMMERCE_CUSTOMER),
        (Platform.WOOCOMMERCE, TopicGroup.DELETED, "order.deleted", Shape.DELETED),
        (Platform.WOOCOMMERCE, TopicGroup.DELETED, "customer.deleted", Shape.WOOCOMMERCE_CUSTOMER),
        (Platform.SHOPIFY, TopicGroup.ORDERS, "orders/paid", Shape.SHOPIFY_ORDER),
        (Platform.SHOPIFY, TopicGroup.ORDERS, "orders/edited", Shape.SHOPIFY_OTHER),
        (Platform.SHOPIFY, TopicGroup.REFUNDS, "refunds/create", Shape.SHOPIFY_REFUND),
        (Platform.SHOPIFY, TopicGroup.DELETED, "customers/delete", Shape.SHOPIFY_CUSTOMER),
        (Platform.SHOPIFY, TopicGroup.EVENTS, "view_item", Shape.EVENT),
    ],
)
def test_topic_has_its_table(platform: Platform, group: TopicGroup, topic: str, shape: Shape) -> None:
    assert shape_of(platform, group, topic) is shape


def test_deleted_customer_loses_the_id() -> None:
    assert redact({"id": 7}, shape=Shape.WOOCOMMERCE_CUSTOMER, strip=Strip(either=True), rules=Rules()).payload == {}


@pytest.mark.parametrize("key", ["_ga", "_clck", "ga_client_id"])
def test_street_under_a_key_of_analytics_is_looked_for_all_the_same(key: str) -> None:
    order = woocommerce_order(meta_data=[{"id": 1, "key": key, "value": orders.STREET}])
    order["line_items"] = [line_item(name=f"Gift for {orders.STREET}", sku="GIFT")]
    kept = gate(order, orders.MARKETING_DENIED)
    assert meta_of(kept, key) is None
    assert orders.STREET.casefold() not in text_of(kept)

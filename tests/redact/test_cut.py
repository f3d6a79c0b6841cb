"""Cuts for bodies that leave as the store wrote them."""

import copy

import pytest

from gateway.redact.apply import Shape
from gateway.redact.cut import replace_item_texts, without_own_entry, without_secrets
from gateway.redact.verdict import Denied, Kind
from tests.redact.orders import line_item, shopify_order, woocommerce_order


def test_own_entry_and_consent_never_leave() -> None:
    order = woocommerce_order(
        consent={"a": 1}, meta_data=[{"key": "_consent_gateway", "value": "{}"}, {"key": "a", "value": 1}]
    )
    cut = without_own_entry(order)
    assert cut["meta_data"] == [{"key": "a", "value": 1}]
    assert "consent" not in cut
    assert len(order["meta_data"]) == 2
    assert {key: cut[key] for key in cut if key != "meta_data"} == {
        key: value for key, value in order.items() if key not in ("meta_data", "consent")
    }


def test_own_entry_leaves_notes_of_a_shopify_order() -> None:
    cut = without_own_entry(shopify_order())
    names = [entry["name"] for entry in cut["note_attributes"]]  # type: ignore[attr-defined]
    assert names == ["_elevar_visitor_info", "_elevar__ga", "google-clientID", "vat_number"]


def test_own_entry_is_not_looked_for_in_what_is_no_list() -> None:
    assert without_own_entry({"meta_data": "x", "note_attributes": None}) == {"meta_data": "x", "note_attributes": None}
    assert without_own_entry({"note_attributes": {"_consent_gateway": "{}", "a": "b"}}) == {
        "note_attributes": {"a": "b"}
    }


def test_own_entry_leaves_metadata_that_is_an_object_of_entries() -> None:
    own, other = {"key": "_consent_gateway", "value": "{}"}, {"key": "a", "value": 1}
    assert without_own_entry({"meta_data": {"1": own, "3": other}}) == {"meta_data": {"3": other}}


def test_secrets_go_and_everything_else_stays() -> None:
    order = woocommerce_order()
    before = copy.deepcopy(order)
    cut, removed = without_secrets(order, Shape.WOOCOMMERCE_ORDER)
    assert removed == ("order_key", "payment_url")
    assert order == before
    assert cut == {key: value for key, value in before.items() if key not in removed}


def test_tokens_of_a_shopify_order_go() -> None:
    order = shopify_order(note_attributes=[{"name": "cart_token", "value": "t"}, {"name": "a", "value": "b"}])
    cut, removed = without_secrets(order, Shape.SHOPIFY_ORDER)
    assert removed == ("cart_token", "checkout_token", "note_attributes[cart_token]", "order_status_url", "token")
    assert cut["note_attributes"] == [{"name": "a", "value": "b"}]
    assert cut["customer"] == {key: value for key, value in order["customer"].items() if key != "multipass_identifier"}


@pytest.mark.parametrize("attributes", [{"cart_token": "t", "a": "b"}, {"1": {"name": "cart_token", "value": "t"}}])
def test_tokens_in_attributes_that_are_an_object_go(attributes: dict[str, object]) -> None:
    cut, removed = without_secrets(shopify_order(note_attributes=attributes), Shape.SHOPIFY_ORDER)
    assert "note_attributes[cart_token]" in removed
    assert cut["note_attributes"] == {name: value for name, value in attributes.items() if name == "a"}


def test_item_text_is_replaced_by_the_sku() -> None:
    denied = [Denied(path="billing.last_name", kind=Kind.NAME, value="Canarová")]
    order = woocommerce_order(
        line_items=[line_item(name="Mug for Canarová", sku="MUG"), line_item(name="Mug", sku="M2")]
    )
    cut, replaced = replace_item_texts(order, denied)
    names = [item["name"] for item in cut["line_items"]]  # type: ignore[attr-defined]
    assert names == ["MUG", "Mug"]
    assert replaced == ("line_items[].name",)
    assert order["line_items"][0]["name"] == "Mug for Canarová"


def test_text_outside_items_is_not_replaced() -> None:
    denied = [Denied(path="billing.last_name", kind=Kind.NAME, value="Canarová")]
    cut, replaced = replace_item_texts({"name": "Canarová", "a": [["Canarová"]]}, denied)
    assert (cut, replaced) == ({"name": "Canarová", "a": [["Canarová"]]}, ())

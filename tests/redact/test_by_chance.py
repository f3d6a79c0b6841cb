"""What looks like a person's and is the shop's stays, and stops no order; what is a person's is found beside it."""

import json
from typing import Any

import orjson
import pytest

from gateway.model.decision import Strip
from gateway.redact.proof import prove
from gateway.redact.spellings import Reading
from gateway.redact.verdict import Denied, Kind
from tests.redact.orders import ANALYTICS_DENIED, DENIED, gate, line_item, meta_of, woocommerce_order

CASE = "Clear case for iPhone 15 Pro"


def noted(key: str, value: object) -> dict[str, Any]:
    return line_item(name=CASE, meta_data=[{"id": 1, "key": key, "value": value}])


ITEMS: dict[str, dict[str, Any]] = {
    "a phone's model": noted("pa_phone-model", "iPhone 15 Pro"),
    "the product's name": noted("_product_name", CASE),
    "the vendor's name": noted("_vendor_name", "Clear case"),
    "an article number": line_item(name=CASE, global_unique_id="0012345678905"),
}


@pytest.mark.parametrize("name", ITEMS)
def test_words_of_an_item_stay_whatever_its_metadata_call_them(name: str) -> None:
    kept: Any = gate(woocommerce_order(line_items=[ITEMS[name]])).payload
    assert kept["line_items"][0] == {**ITEMS[name], "meta_data": []}


def test_number_that_only_ends_like_the_phone_stops_no_order() -> None:
    order = woocommerce_order(id=9030171234567, number="WC-30123456789")
    order["billing"]["phone"] = "+49 30 123456789"
    kept = gate(order).payload
    assert (kept["id"], kept["number"]) == (order["id"], order["number"])


@pytest.mark.parametrize("campaign", ["spring-sale-de", "EM-2026-NOV"])
def test_campaign_stays_when_a_link_has_it_as_an_id_too(campaign: str) -> None:
    entry = {"id": 1, "key": "_wc_order_attribution_utm_campaign", "value": campaign}
    page = {"id": 2, "key": "_landing_page", "value": f"https://shop.example/?cid={campaign}&utm_campaign={campaign}"}
    kept: Any = gate(woocommerce_order(meta_data=[entry, page])).payload
    assert kept["meta_data"] == [entry, {**page, "value": f"https://shop.example/?utm_campaign={campaign}"}]


@pytest.mark.parametrize("words", ["annabella-canarová", "see Canary Street 7", "0171 2345678"])
@pytest.mark.parametrize("key", ["attribution", "pys_utm"])
def test_shopper_in_words_of_attribution_takes_them_along(key: str, words: str) -> None:
    entries = [{"id": 1, "key": key, "value": f"utm_source:x|utm_term:{words}"}]
    assert gate(woocommerce_order(meta_data=entries)).payload["meta_data"] == []


def test_shopper_in_one_value_of_a_bundle_leaves_the_others() -> None:
    bundle = {"pys_source": "annabella-canarová", "pys_utm": "utm_source:google"}
    order = woocommerce_order(meta_data=[{"id": 1, "key": "pys_enrich_data", "value": bundle}])
    assert meta_of(gate(order), "pys_enrich_data") == {"pys_utm": "utm_source:google"}


COOKIES = {"_fbp": "fb.1.1795300000000.555", "_gcl_aw": "GCL.1795300000.Cj0KCQabc"}


@pytest.mark.parametrize("written", [COOKIES, json.dumps(COOKIES)])
def test_cookies_in_a_bundle_are_judged_one_by_one(written: object) -> None:
    order = woocommerce_order(meta_data=[{"id": 1, "key": "_stape_cookies", "value": written}])
    assert meta_of(gate(order, ANALYTICS_DENIED), "_stape_cookies") == written
    assert meta_of(gate(order, DENIED), "_stape_cookies") is None


def test_bundle_of_a_tracking_app_loses_only_what_is_denied() -> None:
    bundle = {**COOKIES, "_ga": "GA1.1.111222333.1795300000", "whatever": "x"}
    order = woocommerce_order(meta_data=[{"id": 1, "key": "cookies", "value": bundle}])
    assert meta_of(gate(order, ANALYTICS_DENIED), "cookies") == COOKIES


SAID = {
    "welcome-01712345678-10": "+49 171 2345678",
    "01712345678 2026-11-22": "+49 171 2345678",
    "+49 (0)171 2345678": "491712345678",
    "+49.171.2345678": "0171/2345678",
    "00491712345678": "0171 2345678",
    "(212) 555-0100": "+1 212 555 0100",
}


@pytest.mark.parametrize("text", SAID)
def test_phone_is_found_beside_other_numbers(text: str) -> None:
    assert Reading(text).holds(Denied("phone", Kind.PHONE, SAID[text]))


@pytest.mark.parametrize("text", ["GA1.1.1234567890.1795300000", "fb.0.1795300000000.1234567890", "9991234567890123"])
def test_piece_of_a_longer_number_is_no_phone(text: str) -> None:
    assert not Reading(text).holds(Denied("phone", Kind.PHONE, "+1 234567890"))


@pytest.mark.parametrize(
    "text", ["https://shop.example/u/YW5uYUBleGFtcGxlLm9yZw.png", "welcome-YW5uYUBleGFtcGxlLm9yZw-10"]
)
def test_base64_is_read_in_the_middle_of_a_path_or_a_code(text: str) -> None:
    assert Reading(text).holds(Denied("email", Kind.EMAIL, "anna@example.org"))


def test_tag_that_is_called_by_the_orders_number_stops_no_order() -> None:
    entry = {"id": 1, "key": "ga_session_id", "value": "WC-2026-00025"}
    kept = gate(woocommerce_order(number="WC-2026-00025", meta_data=[entry])).payload
    assert (kept["number"], kept["meta_data"]) == ("WC-2026-00025", [])


def test_name_in_a_users_id_takes_it_along() -> None:
    order = woocommerce_order(meta_data=[{"id": 1, "key": "user_id", "value": "annabella-canarová-7"}])
    assert gate(order, Strip(marketing=True)).payload["meta_data"] == []


def test_parameter_of_a_page_that_holds_the_shoppers_name_is_masked() -> None:
    page = {"id": 1, "key": "_landing_page", "value": "https://shop.example/?annabella-canarová=1&gclid=x"}
    removed = gate(woocommerce_order(meta_data=[page])).removed
    assert [path for path in removed if "?" in path] == ["meta_data[_landing_page]?*", "meta_data[_landing_page]?gclid"]


FREE = [
    "Zoë Quist told me",
    '{"gclid": "x", "note": "Zoë Quist"}',
    "utm_source:x|note:Zoë Quist",
    '{"utm_source": ["Zoë"]}',
]


@pytest.mark.parametrize("words", FREE)
@pytest.mark.parametrize("key", ["attribution", "pys_enrich_data"])
def test_free_text_under_a_known_key_is_free_text(key: str, words: str) -> None:
    entries = [{"id": 1, "key": key, "value": words}]
    assert gate(woocommerce_order(meta_data=entries), ANALYTICS_DENIED).payload["meta_data"] == []


@pytest.mark.parametrize("words", ["google / cpc", "utm_source=google&utm_medium=cpc", '{"utm_source": "google"}'])
def test_words_of_a_campaign_stay(words: str) -> None:
    entries = [{"id": 1, "key": "utm", "value": words}]
    assert gate(woocommerce_order(meta_data=entries)).payload["meta_data"] == entries


@pytest.mark.parametrize("code", ["WELCOME-JIRI-MUELLER", "muller.jiri10", "jirimuller-5", "Müller, Jiří"])
def test_name_is_found_in_a_code_without_its_accents(code: str) -> None:
    order = woocommerce_order(coupon_lines=[{"id": 1, "code": code, "discount": "1.00"}])
    order["billing"] |= {"first_name": "Jiří", "last_name": "Müller"}
    assert gate(order).payload["coupon_lines"] == [{"id": 1, "discount": "1.00"}]


@pytest.mark.parametrize("told", ["Annabella Canarová", "QW5uYWJlbGxhIENhbmFyb3bDoQ=="])
def test_whole_name_in_a_word_of_the_platform_is_a_leak(told: str) -> None:
    redacted = gate(woocommerce_order())
    assert prove(orjson.dumps({**redacted.payload, "created_via": told}), redacted.denied) == ("billing.first_name",)


@pytest.mark.parametrize("told", ["Jan Novák", "NOVAK JAN", "Novák, Jan"])
def test_whole_name_is_found_where_another_bears_it_the_other_way_round(told: str) -> None:
    order = woocommerce_order()
    order["billing"] |= {"first_name": "Jan", "last_name": "Novák"}
    order["shipping"] |= {"first_name": "Novák", "last_name": "Jan"}
    redacted = gate(order)
    assert prove(orjson.dumps({**redacted.payload, "created_via": told}), redacted.denied) == ("billing.first_name",)


def test_plain_word_of_a_tag_may_stand_in_what_stays() -> None:
    order = woocommerce_order(meta_data=[{"id": 1, "key": "token", "value": "newsletter"}])
    order["billing"]["company"] = "Newsletter Works"
    kept: Any = gate(order, ANALYTICS_DENIED).payload
    assert (kept["billing"]["company"], kept["meta_data"]) == ("Newsletter Works", [])

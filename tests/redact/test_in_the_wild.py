"""Identifiers where plugins and people really put them, under every kind of denial, read with a decoder of its own."""

import base64
import binascii
import hashlib
import html
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

import orjson
import pytest

from gateway.model.decision import Strip
from gateway.redact.apply import Redacted, Shape
from tests.redact import orders
from tests.redact.orders import gate

EMAIL = "anna.schmidt@example.org"
PHONE = "+49 170 1234567"
IP6 = "2001:db8::7"
UUID = "9b2e0f0e-1111-4222-8333-aaaabbbbcccc"
GA, FBP = "GA1.1.111111111.1795300000", "fb.1.1795300000000.7777777777"
MARKETING_ONLY, ANALYTICS_ONLY = Strip(analytics=True), Strip(marketing=True)  # all granted, one served
# What goes: nothing of marketing, nothing of analytics, nothing of both, and what the destination does not serve.
MARKETING_GOES = (orders.MARKETING_DENIED, orders.DENIED, ANALYTICS_ONLY)
ANALYTICS_GOES = (orders.ANALYTICS_DENIED, orders.DENIED, MARKETING_ONLY)
EVERY = (orders.MARKETING_DENIED, orders.ANALYTICS_DENIED, orders.DENIED, MARKETING_ONLY, ANALYTICS_ONLY, orders.STALE)
NAMES = {orders.MARKETING_DENIED: "no marketing", orders.ANALYTICS_DENIED: "no analytics", orders.DENIED: "nothing"}
NAMES |= {MARKETING_ONLY: "ads destination", ANALYTICS_ONLY: "statistics destination", orders.STALE: "renewal"}


def hashed(value: str, name: str = "sha256") -> bytes:
    return hashlib.new(name, value.encode(), usedforsecurity=False).digest()


def in_base64(value: str | bytes) -> str:
    return base64.b64encode(value.encode() if isinstance(value, str) else value).decode()


def meta(key: str, value: object) -> dict[str, Any]:
    return {
        "meta_data": [{"id": 1, "key": key, "value": value, "display_key": key, "display_value": f"<b>{value}</b>"}]
    }


def item(**fields: object) -> dict[str, Any]:
    return {"line_items": [orders.line_item(**fields)]}


def notes(name: str, value: object) -> dict[str, Any]:
    return {"note_attributes": [{"name": name, "value": value}]}


@dataclass(frozen=True, kw_only=True)
class Planted:
    """An order's fields and what must go: for want of marketing, of analytics, and whenever anything goes."""

    fields: dict[str, Any]
    marketing: tuple[str, ...] = ()
    analytics: tuple[str, ...] = ()
    never: tuple[str, ...] = ()
    stays: tuple[str, ...] = ()
    shape: Shape = field(default=Shape.WOOCOMMERCE_ORDER)


def serialized(text: str) -> str:
    """As PHP writes an array with one text."""
    return f'a:1:{{s:5:"email";s:{len(text)}:"{text}";}}'


WOOCOMMERCE: dict[str, Planted] = {
    "note of the shopper": Planted(
        fields={"customer_note": "Bitte bei Schmidt klingeln, 0170/1234567"}, never=("klingeln",)
    ),
    "engraving": Planted(
        fields=item(meta_data=[{"id": 1, "key": "Engraving", "value": f"For Anna, call {PHONE}"}]),
        marketing=("1234567",),
        never=("for anna",),
    ),
    "shown value in HTML": Planted(
        fields=item(
            meta_data=[{"key": "_x", "value": "", "display_key": "To", "display_value": "<p>zoe@example.org</p>"}]
        ),
        never=("zoe@",),
    ),
    "persons of a booking": Planted(
        fields=item(meta_data=[{"key": "_booking_persons", "value": [{"name": "Zoë Quist"}]}]), never=("zoë quist",)
    ),
    "recipient of a gift card": Planted(
        fields=item(meta_data=[{"key": "wc_gc_giftcard_to_multiple", "value": "to.zoe@example.org"}]), never=("to.zoe",)
    ),
    "item name in HTML": Planted(fields=item(name="Card for anna.schmidt&#64;example.org"), marketing=(EMAIL,)),
    "item name in a link": Planted(fields=item(name="mailto:anna.schmidt%2540example.org"), marketing=(EMAIL,)),
    "item name with the whole name": Planted(fields=item(name="Anna-Schmidt edition"), marketing=("anna-schmidt",)),
    "fee": Planted(
        fields={"fee_lines": [{"id": 1, "name": "Wrapped for Anna Schmidt", "total": "2.00"}]},
        marketing=("anna schmidt",),
        stays=("2.00",),
    ),
    "pickup point": Planted(
        fields={
            "shipping_lines": [
                {
                    "id": 1,
                    "method_title": "Locker near Lindenstr. 55",
                    "method_id": "locker",
                    "total": "4.90",
                    "meta_data": [{"key": "_pickup_point", "value": {"phone": PHONE, "name": "Kiosk Quist"}}],
                }
            ]
        },
        marketing=("lindenstr. 55",),
        never=("kiosk quist",),
        stays=("4.90", "locker"),
    ),
    "coupon that is an address": Planted(
        fields={"coupon_lines": [{"id": 1, "code": EMAIL, "discount": "1.00"}]}, marketing=(EMAIL,), stays=("1.00",)
    ),
    "coupon with a name": Planted(
        fields={"coupon_lines": [{"id": 1, "code": "welcome-anna-schmidt", "discount": "1.00"}]},
        marketing=("anna-schmidt",),
        stays=("1.00",),
    ),
    "coupon like any other": Planted(
        fields={"coupon_lines": [{"id": 1, "code": "summer10", "discount": "1.00"}]}, stays=("summer10",)
    ),
    "data of a coupon": Planted(
        fields={"coupon_lines": [{"code": "a", "meta_data": [{"key": "coupon_data", "value": {"emails": [EMAIL]}}]}]},
        marketing=(EMAIL,),
    ),
    "card": Planted(
        fields={"payment_method_title": "Visa •••• 4242", "transaction_id": "ch_3OabcDEF"}, never=("4242", "ch_3o")
    ),
    "ways to pay": Planted(
        fields={
            "meta_data": [
                {"key": "_stripe_customer_id", "value": "cus_QabcDEF1234567"},
                {"key": "_stripe_intent_id", "value": "pi_3OabcDEF"},
                {"key": "_ppcp_paypal_payer_email", "value": "payer@example.org"},
                {"key": "_payment_tokens", "value": [90210]},
            ]
        },
        never=("cus_q", "pi_3o", "payer@", "90210"),
    ),
    "tax": Planted(
        fields={
            "meta_data": [
                {"key": "_billing_vat", "value": "DE123456789"},
                {"key": "_vat_number", "value": "DE223456789"},
                {"key": "_wcpdf_invoice_number_data", "value": {"formatted_number": "INV-2026-0045"}},
            ]
        },
        never=("de123456789", "de223456789", "inv-2026"),
    ),
    "birthday": Planted(fields=meta("_billing_birthday", "1980-04-03"), marketing=("1980-04-03",)),
    "custom fields": Planted(fields=meta("_wcf_custom_fields", {"x": EMAIL}), marketing=(EMAIL,)),
    "additional checkout field": Planted(fields=meta("_wc_other/acme/gift", "Zoë Quist"), never=("zoë quist",)),
    "FunnelKit": Planted(
        fields=meta(
            "_wffn_tracking_data",
            {
                "utm_source": "fb",
                "first_landing_url": "https://shop.example/?fbclid=IwARlabclick123456&utm_source=fb",
                "click_id": "IwARlabclick123456",
                "referrer": "https://l.example/?u=https%3A%2F%2Fshop.example%2F%3Femail%3Danna.schmidt%2540example.org",
                "journey": "lab-journey",
            },
        ),
        marketing=("iwarlabclick", EMAIL),
        analytics=("lab-journey",),
        stays=("utm_source=fb",),
    ),
    "PixelYourSite": Planted(
        fields=meta(
            "pys_enrich_data",
            {
                "pys_landing": "https://shop.example/?gclid=CjwKlabclick&utm_source=g",
                "pys_utm": "utm_source:google|utm_campaign:brand",
                "pys_utm_id": "fbadid:120211999|gadid:5555|padid:undefined",
                "pys_browser_time": "10-11|Sunday|November",
            },
        ),
        marketing=("cjwklabclick", "120211999"),
        analytics=("10-11|sunday",),
        stays=("utm_campaign:brand", "utm_source=g"),
    ),
    "Pixel Manager": Planted(
        fields={
            "customer_ip_address": "203.0.113.77",
            "customer_user_agent": "Mozilla/5.0 (X11)",
            **meta(
                "facebook_user_identifiers_123",
                {"fbp": FBP, "fbc": "fb.1.1795300000000.IwARx", "ip": "203.0.113.77", "ua": "Mozilla/5.0 (X11)"},
            ),
        },
        marketing=("7777777777", "iwarx"),
    ),
    "GTM Kit and Facebook": Planted(
        fields={
            "meta_data": [
                {"key": "_gtmkit_client_id", "value": GA},
                {"key": "_wc_facebook_fbp", "value": FBP},
                {"key": "_meta_event_id", "value": UUID},
            ]
        },
        marketing=(FBP, UUID),
        analytics=(GA,),
    ),
    "serialized by PHP": Planted(fields=meta("_plugin", serialized("zoe@example.org")), never=("zoe@",)),
    "JSON in JSON in JSON": Planted(
        fields=meta("_plugin", json.dumps({"a": json.dumps({"b": json.dumps({"c": "zoe@example.org"})})})),
        never=("zoe@",),
    ),
    "Klaviyo": Planted(fields=meta("__kla_id", in_base64(json.dumps({"$email": EMAIL}))), marketing=(EMAIL,)),
    "key that is an address": Planted(fields=meta("zoe@example.org", "1"), never=("zoe@",)),
    "key with a foreign letter": Planted(fields=meta("\u0415mail", "zoe@example.org"), never=("zoe@",)),
    "key with something invisible": Planted(fields=meta("e\u200bmail", "zoe@example.org"), never=("zoe@",)),
    "phone that is a number": Planted(fields=meta("phone", 491701234567), marketing=("491701234567",)),
    "long value": Planted(fields=meta("_plugin", "x" * 70_000 + EMAIL), never=("xxxx",)),
    "pages of the shop": Planted(
        fields={
            "payment_url": "https://shop.example/checkout/order-pay/25/?key=wc_order_abc",
            "order_key": "wc_order_abc",
            "_links": {"customer": [{"href": "https://shop.example/wp-json/wc/v3/customers/2377"}]},
            "order_status_url": "https://shop.example/thanks/wc_order_abc",
        },
        never=("wc_order_abc", "2377"),
    ),
    "refund": Planted(
        fields={
            "refunds": [
                {"id": 1, "reason": "Anna moved", "total": "-1.00", "meta_data": [{"key": "n", "value": EMAIL}]}
            ]
        },
        marketing=(EMAIL,),
        never=("anna moved",),
        stays=("-1.00",),
    ),
    "fields of a later version": Planted(
        fields={"contact": {"to": [EMAIL]}, "loyalty_id": "L-55512", "shipping_phone": PHONE, EMAIL: 1},
        marketing=(EMAIL,),
        never=("l-55512",),
    ),
    "address elsewhere in another form": Planted(
        fields={"customer_ip_address": IP6, **meta("_gla_tracked", "2001:0DB8:0000:0000:0000:0000:0000:0007")},
    ),
    "campaign words": Planted(
        fields={
            "meta_data": [
                {"key": "_wc_order_attribution_utm_source", "value": "newsletter"},
                {"key": "_wc_order_attribution_utm_term", "value": "0049 170-123 45 67"},
                {"key": "_wc_order_attribution_utm_content", "value": "anna.schmidt\uff20example.org"},
                {"key": "_wc_order_attribution_utm_id", "value": " Anna.Schmidt@Example.ORG\u200b "},
            ]
        },
        marketing=("anna.schmidt", "123 45 67"),
        stays=("newsletter",),
    ),
    "hashes": Planted(
        fields={
            "meta_data": [
                {"key": "_gla_tracked", "value": hashed(EMAIL).hex().upper()},
                {"key": "_ga_tracked", "value": in_base64(hashed(EMAIL))},
                {"key": "_gtmkit_order_tracked", "value": hashed(EMAIL, "md5").hex()},
                {"key": "is_vat_exempt", "value": base64.urlsafe_b64encode(hashed(EMAIL, "sha1")).decode().rstrip("=")},
            ]
        },
        marketing=(EMAIL,),
    ),
}
SHOPIFY: dict[str, Planted] = {
    "cookie with an app's prefix": Planted(fields=notes("_elevar__ga", GA), analytics=(GA,)),
    "click id with a prefix": Planted(fields=notes("attributes[gclid]", "Cj0labgclid"), marketing=("cj0labgclid",)),
    "gift message": Planted(fields=notes("Gift Message", "For Zoë!"), never=("for zoë",)),
    "address of an attribute": Planted(fields=notes("E-Mail", "zoe@example.org"), marketing=("zoe@",)),
    "campaign": Planted(fields=notes("UTM_Campaign", "brand-2026"), stays=("brand-2026",)),
    "page": Planted(
        fields=notes("landing_page", "https://shop.example/?gclid=labclick9&utm_source=x&next=%2F%3Ffbclid%3DIwARx1"),
        marketing=("labclick9",),
        never=("iwarx1",),
        stays=("utm_source=x",),
    ),
    "both in one": Planted(
        fields=notes("_attribution", json.dumps({"gclid": "Cj0labgclid", "ga": GA})),
        marketing=("cj0labgclid", GA),
        analytics=("cj0labgclid", GA),
    ),
    "tax id": Planted(fields=notes("VAT ID", "DE123456789"), never=("de123456789",)),
    "properties": Planted(
        fields={
            "line_items": [
                {
                    "id": 1,
                    "title": "Mug",
                    "sku": "MUG",
                    "price": "10.00",
                    "properties": [
                        {"name": "Engraving", "value": "For Zoë Quist"},
                        {"name": "_hidden_email", "value": EMAIL},
                    ],
                }
            ]
        },
        marketing=(EMAIL,),
        never=("for zoë",),
        stays=("10.00", "mug"),
    ),
    "discount": Planted(
        fields={
            "discount_codes": [{"code": "ANNA-SCHMIDT-10", "amount": "1.00", "type": "percentage"}],
            "discount_applications": [{"title": "Loyalty Anna Schmidt", "description": EMAIL, "value": "10.0"}],
        },
        marketing=("anna-schmidt", "anna schmidt", EMAIL),
        stays=("1.00", "10.0"),
    ),
    "parcel": Planted(
        fields={
            "fulfillments": [
                {
                    "id": 1,
                    "status": "success",
                    "tracking_number": "JJD000390007",
                    "tracking_urls": ["https://p.example/JJD000390007"],
                }
            ]
        },
        never=("jjd000390007",),
        stays=("success",),
    ),
    "first page": Planted(
        fields={
            "landing_site": "/products/x?gclid=labclick9&utm_source=google&email=anna.schmidt%40example.org"
            "&redirect=https%3A%2F%2Fshop.example%2F%3Femail%3Danna.schmidt%2540example.org",
            "referring_site": f"https://mail.example/u/0/?to={EMAIL}#inbox",
        },
        marketing=("labclick9", EMAIL),
        stays=("utm_source=google", "/products/x"),
    ),
    "customer": Planted(
        fields={
            "customer": {
                "id": 7152434706128,
                "email": EMAIL,
                "first_name": "Anna",
                "last_name": "Schmidt",
                "note": "likes tea",
                "tags": "vip-quist",
                "tax_exemptions": ["CA_STATUS_CARD_EXEMPTION"],
                "metafields": [{"key": "birthday", "value": "1980-04-03"}],
                "company": {"name": "Quist GmbH"},
            }
        },
        marketing=(EMAIL, "schmidt"),
        never=("likes tea", "vip-quist", "1980-04-03", "quist gmbh"),
    ),
    "business": Planted(
        fields={
            "company": {"id": 50998877, "name": "Quist GmbH"},
            "purchasing_entity": {"contact": "zoe@example.org"},
            "metafields": [{"key": "k", "value": "zoe@example.org"}],
            "payment_details": {"credit_card_name": "Zoë Quist"},
            "tags": "vip-quist",
        },
        never=("quist", "zoe@"),
    ),
    "pages of the shop": Planted(
        fields={"order_status_url": "https://shop.example/1/orders/tok77/authenticate?key=k77", "token": "tok77xyz"},
        never=("tok77", "k77"),
    ),
    "shipping": Planted(
        fields={
            "shipping_lines": [{"id": 1, "title": "Locker", "price": "3.00", "phone": PHONE, "code": f"P-{EMAIL}"}]
        },
        marketing=("170 1234567", EMAIL),
        stays=("3.00", "locker"),
    ),
}


def woocommerce(fields: dict[str, Any]) -> dict[str, Any]:
    order = orders.woocommerce_order(**fields)
    if "billing" not in fields:
        order["billing"] |= {"first_name": "Anna", "last_name": "Schmidt", "email": EMAIL, "phone": PHONE}
        order["billing"] |= {"address_1": "Lindenstr. 55", "city": "Hamburg", "postcode": "20095", "company": ""}
    return order


def shopify(fields: dict[str, Any]) -> dict[str, Any]:
    order = orders.shopify_order(email=EMAIL, contact_email=EMAIL, phone=PHONE)
    order["customer"] |= {"first_name": "Anna", "last_name": "Schmidt", "email": EMAIL}
    return order | fields


CASES = {f"woocommerce: {name}": (case, Shape.WOOCOMMERCE_ORDER) for name, case in WOOCOMMERCE.items()}
CASES |= {f"shopify: {name}": (case, Shape.SHOPIFY_ORDER) for name, case in SHOPIFY.items()}


def readings(value: object, depth: int = 5) -> Iterator[str]:
    """Every text in a value, and what it says once it is decoded."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from readings(key, depth)
            yield from readings(inner, depth)
    elif isinstance(value, list):
        for inner in value:
            yield from readings(inner, depth)
    elif value is not None:
        text = str(value).replace("\u200b", "").replace("\uff20", "@").casefold()
        yield text
        yield from _decoded(str(value), text, depth)


def _decoded(original: str, seen: str, depth: int) -> Iterator[str]:
    spellings = {unquote(original), html.unescape(original), original.replace("\\", "")}
    for run in re.findall(r"[A-Za-z0-9+/_\-]{8,}", original):
        try:
            spellings.add(base64.b64decode(run + "=" * (-len(run) % 4), altchars=b"-_").decode())
        except (binascii.Error, ValueError):
            continue
    for spelling in spellings if depth else ():
        if spelling.casefold() != seen:
            yield from readings(spelling, depth - 1)


def digests(value: str) -> set[str]:
    """The value's hashes as vendors write them."""
    raws = [hashed(form, name) for form in {value, value.strip().lower()} for name in ("md5", "sha1", "sha256")]
    texts = {raw.hex() for raw in raws} | {in_base64(raw).rstrip("=") for raw in raws}
    return {text.casefold() for text in texts | {base64.urlsafe_b64encode(raw).decode().rstrip("=") for raw in raws}}


def left_of(redacted: Redacted, wanted: tuple[str, ...]) -> list[str]:
    """Those of the wanted texts that left, in any spelling."""
    said = "\n".join(readings(orjson.loads(orjson.dumps(redacted.payload))))
    return [text for text in wanted if text.casefold() in said or any(digest in said for digest in digests(text))]


def gated(name: str, strip: Strip) -> Redacted:
    case, shape = CASES[name]
    order = woocommerce(case.fields) if shape is Shape.WOOCOMMERCE_ORDER else shopify(case.fields)
    return gate(order, strip, shape)


@pytest.mark.parametrize("strip", EVERY, ids=NAMES.get)
@pytest.mark.parametrize("name", CASES)
def test_nothing_that_must_go_leaves_and_nothing_that_must_stay_goes(name: str, strip: Strip) -> None:
    case, _ = CASES[name]
    redacted = gated(name, strip)
    assert left_of(redacted, case.never) == []
    assert left_of(redacted, case.marketing if strip in MARKETING_GOES else ()) == []
    assert left_of(redacted, case.analytics if strip in ANALYTICS_GOES else ()) == []
    assert left_of(redacted, case.stays) == list(case.stays)


@pytest.mark.parametrize("name", CASES)
def test_names_of_what_went_tell_nothing(name: str) -> None:
    case, _ = CASES[name]
    redacted = gated(name, orders.DENIED)
    shown = " ".join((*redacted.removed, *redacted.unknown_keys)).casefold()
    assert [text for text in (*case.marketing, *case.never) if text in shown] == []


@pytest.mark.parametrize("name", [name for name, (case, _) in CASES.items() if case.marketing and not case.analytics])
def test_what_is_granted_and_served_stays_known(name: str) -> None:
    """Contact data stays for a destination of ads when all is granted."""
    _, shape = CASES[name]
    payload: Any = gated(name, MARKETING_ONLY).payload
    kept = payload["billing"] if shape is Shape.WOOCOMMERCE_ORDER else payload
    assert kept["email"] == EMAIL


def test_number_in_a_phone_that_stays_is_no_hit() -> None:
    order = woocommerce(meta("_fbp", "fb.1.1795300000000.1234567890"))
    order["billing"]["phone"] = "+491234567890"
    payload: Any = gate(order, orders.STALE).payload
    assert payload["billing"]["phone"] == "+491234567890"


FLAGS: dict[str, object] = {
    "_new_order_email_sent": "1",
    "_customer_email_verified": "processing",
    "billing_phone_country": "DE",
    "newsletter_email": "on",
    "_ip": "DE",
    "em": 1,
    "age": "23",  # as the customer's id
    "uid": "23",
    "token": "flat_rate",
    "_hash": "25",
    "street": "Processing",
    "customer": {"id": 23, "email": EMAIL},
    "_analytics_user_id": EMAIL,
}


@pytest.mark.parametrize("strip", EVERY, ids=NAMES.get)
@pytest.mark.parametrize("key", FLAGS)
def test_entry_that_says_no_more_than_the_order_itself_blocks_nothing(key: str, strip: Strip) -> None:
    bare, noted = woocommerce({"meta_data": []}), woocommerce(meta(key, FLAGS[key]))
    before, after = gate(bare, strip).payload, gate(noted, strip).payload
    assert {**after, "meta_data": []} == before


LOOKALIKES: dict[str, dict[str, str]] = {
    "like a currency": {"first_name": "Eur", "last_name": "Total"},
    "like a product": {"first_name": "Lab", "last_name": "Mug", "company": "Lab"},
    "like staff": {"first_name": "Admin", "last_name": "Shop"},
    "short": {"first_name": "Li", "last_name": "O"},
    "postcode like the number": {"postcode": "25", "city": "25"},
    "postcode like an amount": {"postcode": "8.39"},
    "mail of the shop": {"email": "office@shop.example"},
    "phone like a part of an id": {"phone": "1795300000"},
    "digest's length": {"address_1": "Königsteinerstraße 123", "city": "Übermäßig-lange-Ortschaft-7"},
    "decomposed": {"last_name": "Nova\u0301kova\u0301", "city": "Plzen\u030c"},
    "word of attribution": {"first_name": "Mobile", "last_name": "Desktop", "city": "Organic"},
}
ITEM_FIELDS = ("name", "sku", "quantity", "total", "price", "product_id", "total_tax")


@pytest.mark.parametrize("strip", EVERY, ids=NAMES.get)
@pytest.mark.parametrize("name", LOOKALIKES)
def test_shopper_like_any_other_word_loses_no_line(name: str, strip: Strip) -> None:
    order = woocommerce({})
    order["billing"] |= LOOKALIKES[name]
    kept: Any = gate(order, strip).payload
    for before, after in zip(order["line_items"], kept["line_items"], strict=True):
        assert {key: after[key] for key in ITEM_FIELDS} == {key: before[key] for key in ITEM_FIELDS}
    assert (kept["number"], kept["total"], kept["currency"]) == (order["number"], order["total"], order["currency"])
    assert kept["billing"]["country"] == order["billing"]["country"]


def test_letters_that_look_apart_but_are_one_are_found() -> None:
    order = woocommerce(
        meta("_wc_order_attribution_utm_term", "nová\u0301ková from plzeň".replace("á\u0301", "a\u0301"))
    )
    order["billing"] |= {"last_name": "Nova\u0301kova\u0301", "first_name": "Eva"}
    order["fee_lines"] = [{"id": 1, "name": "For Eva Nováková", "total": "1.00"}]
    redacted = gate(order)
    assert left_of(redacted, ("Eva Nováková",)) == []


HEAVY: dict[str, str] = {
    "a name without an end": "x" * 60_000 + "=",
    "a name of many parts": "x_" * 30_000 + "=1",
    "escapes of escapes": "a=%2525252541&" * 4_000,
    "several spellings at once": 'a=%41*b@c.d "\\" ' * 3_500,
    "deep": '{"a":' * 10_000,
}


@pytest.mark.parametrize("kind", HEAVY)
def test_value_that_is_hard_to_read_is_not_trusted(kind: str) -> None:
    """Reading ends, and what was not read to its end goes."""
    redacted = gate(woocommerce(meta("_wc_order_attribution_utm_term", HEAVY[kind])))
    assert redacted.payload["meta_data"] == []


def test_key_that_is_hard_to_read_is_masked() -> None:
    redacted = gate(woocommerce(meta("x_" * 30_000, "1")))
    assert redacted.payload["meta_data"] == []
    assert "meta_data[*]" in redacted.removed

"""Orders for these tests: a real one of each platform, with an invented shopper whose every value can be told apart."""

import copy
import json
from pathlib import Path
from typing import Any

import orjson

from gateway.model.decision import Strip
from gateway.redact.apply import Redacted, Rules, Shape, redact
from gateway.redact.proof import prove

SAMPLES = Path(__file__).parent.parent / "samples" / "platforms"
SHOP = Rules(shop_hosts=frozenset({"127.0.0.1", "shop.example"}))
DENIED = Strip(marketing=True, analytics=True, either=True)
MARKETING_DENIED = Strip(marketing=True, either=True)
ANALYTICS_DENIED = Strip(analytics=True, either=True)
ONLY_EITHER_DENIED = Strip(either=True)
STALE = Strip(stale=True)

EMAIL = "canary.person@example.com"
PHONE = "+49 171 2345678"
LAST_NAME = "Canarová"
STREET = "Canary Street 7"
CITY = "Canaryville"
IP = "203.0.113.77"
CANARIES = ("canary.person", "2345678", "canarová", "canary street", "203.0.113.77", "annabella")


def woocommerce_order(**fields: object) -> dict[str, Any]:
    """A captured WooCommerce order of the invented shopper; `fields` replace top-level ones."""
    order: dict[str, Any] = _sample("woocommerce", "016-*")
    order["billing"] |= {"first_name": "Annabella", "last_name": LAST_NAME, "email": EMAIL, "phone": PHONE}
    order["billing"] |= {"city": CITY, "address_1": STREET, "postcode": "99887"}
    return order | {"customer_id": 23, "customer_ip_address": IP} | fields


def shopify_order(**fields: object) -> dict[str, Any]:
    """A captured Shopify order."""
    order: dict[str, Any] = _sample("shopify", "06-*")
    return order | fields


def with_meta(key: str, value: object) -> dict[str, Any]:
    """A WooCommerce order with one entry of metadata."""
    return woocommerce_order(meta_data=[{"id": 1, "key": key, "value": value}])


def line_item(**fields: object) -> dict[str, Any]:
    """A line of a WooCommerce order."""
    item: dict[str, Any] = _sample("woocommerce", "016-*")["line_items"][0]
    return item | fields


def gate(
    payload: dict[str, Any], strip: Strip = DENIED, shape: Shape = Shape.WOOCOMMERCE_ORDER, rules: Rules = SHOP
) -> Redacted:
    """Redact, and insist on what holds for every redaction: the input untouched, the output proven."""
    before = copy.deepcopy(payload)
    redacted = redact(payload, shape=shape, strip=strip, rules=rules)
    assert payload == before
    assert prove(orjson.dumps(redacted.payload, default=str), redacted.denied) == ()
    return redacted


def text_of(redacted: Redacted) -> str:
    """What left, as one lower-case text."""
    return json.dumps(redacted.payload, ensure_ascii=False, default=str).casefold()


def meta_of(redacted: Redacted, key: str) -> object:
    """The value that is left of one entry of metadata; None when it went."""
    entries: Any = redacted.payload["meta_data"]
    return next((entry["value"] for entry in entries if entry["key"] == key), None)


def _sample(platform: str, pattern: str) -> dict[str, Any]:
    payload: dict[str, Any] = orjson.loads(next((SAMPLES / platform).glob(f"{pattern}.body")).read_bytes())
    return payload

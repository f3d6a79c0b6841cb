"""Sample orders for the demo: captured bodies, given other ids and consents, and signed as a store signs."""

import base64
import hmac
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any, Final

Consent = dict[str, bool] | None

#: What the shoppers of the demo answered; None: nothing is known.
CONSENTS: Final[dict[str, Consent]] = {
    "all granted": {"functional": True, "preferences": True, "analytics": True, "marketing": True},
    "marketing denied": {"functional": True, "preferences": True, "analytics": True, "marketing": False},
    "all denied": {"functional": True, "preferences": False, "analytics": False, "marketing": False},
    "no record": None,
}
_ENTRY: Final = "_consent_gateway"
_CAPTURED_AT: Final = "2026-11-20T09:12:40Z"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One webhook to send, and what is in it."""

    store_id: str
    platform: str
    mode: str
    consent: str
    order_id: str
    number: str
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    body: bytes = field(repr=False)


def make_samples(stores: Sequence[tuple[str, str]]) -> list[Sample]:
    """Make an order for every consent in every (platform, mode)."""
    return [
        _sample(platform, mode, word, 5001 + 100 * at + nth)
        for at, (platform, mode) in enumerate(stores)
        for nth, word in enumerate(CONSENTS)
    ]


def _sample(platform: str, mode: str, word: str, number: int) -> Sample:
    make = _woocommerce if platform == "woocommerce" else _shopify
    body = json.dumps(make(number, CONSENTS[word])).encode()
    signature = base64.b64encode(hmac.digest(f"{platform}-demo-secret".encode(), body, "sha256")).decode()
    return Sample(
        store_id=f"{platform}-{mode}",
        platform=platform,
        mode=mode,
        consent=word,
        order_id=str(number),
        number=str(number),
        headers=_headers(platform, signature, number),
        body=body,
    )


def _headers(platform: str, signature: str, number: int) -> tuple[tuple[str, str], ...]:
    if platform == "woocommerce":
        own = [("X-WC-Webhook-Topic", "order.created"), ("X-WC-Webhook-Signature", signature)]
    else:
        own = [
            ("X-Shopify-Topic", "orders/create"),
            ("X-Shopify-Hmac-Sha256", signature),
            ("X-Shopify-Webhook-Id", f"demo-{number}"),
        ]
    return (("Content-Type", "application/json"), *own)


def _woocommerce(number: int, consent: Consent) -> dict[str, Any]:
    order = _captured("woocommerce-order.json")
    order |= {"id": number, "number": str(number), "order_key": f"wc_order_demo{number}"}
    if consent is not None:
        order["meta_data"].append({"id": 99, "key": _ENTRY, "value": _entry(consent)})
    return order


def _shopify(number: int, consent: Consent) -> dict[str, Any]:
    order = _captured("shopify-order.json")
    order |= {"id": number, "order_number": number, "name": f"#{number}", "checkout_token": f"demo-checkout-{number}"}
    kept = [one for one in order["note_attributes"] if one["name"] != _ENTRY]
    own = [] if consent is None else [{"name": _ENTRY, "value": _entry(consent)}]
    order["note_attributes"] = kept + own
    return order


def _entry(consent: dict[str, bool]) -> str:
    return json.dumps(
        {
            "v": 1,
            "categories": consent,
            "source": "client",
            "basis": "explicit",
            "captured_at": _CAPTURED_AT,
            "cmp": "demo",
        }
    )


def _captured(name: str) -> dict[str, Any]:
    text = files("gateway.cli").joinpath("sample_orders", name).read_text(encoding="utf-8")
    order: dict[str, Any] = json.loads(text)
    return order

"""Signed WooCommerce webhooks of 6 KB, made from a real one, as many as one likes, each an order of its own."""

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass, field
from typing import Any

from gateway.model.order import Platform
from tests.captures import capture

SECRET = "engine-secret"
STORE = "acme"
BODY_BYTES = 6144
CAPTURED_AT = "2026-11-21T15:54:04Z"
_TEMPLATE: dict[str, Any] = json.loads(capture(Platform.WOOCOMMERCE, "016").body)


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """One webhook as it goes over the wire; `step` counts the webhooks of one order."""

    order_id: str
    step: int
    topic: str
    body: bytes = field(repr=False)
    signature: str = field(repr=False)

    @property
    def headers(self) -> dict[str, str]:
        return {
            "Content-Type": "application/json",
            "X-WC-Webhook-Source": "https://shop.example/",
            "X-WC-Webhook-Topic": self.topic,
            "X-WC-Webhook-Resource": "order",
            "X-WC-Webhook-Event": self.topic.partition(".")[2],
            "X-WC-Webhook-Signature": self.signature,
            "X-WC-Webhook-ID": "1",
            "X-WC-Webhook-Delivery-ID": f"{self.order_id}-{self.step}",
        }

    def request(self, host: str, path: str = f"/webhooks/{STORE}") -> bytes:
        """The whole HTTP request, for a connection that stays open."""
        lines = [f"POST {path} HTTP/1.1", f"Host: {host}", f"Content-Length: {len(self.body)}"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + self.body


def an_email(number: int) -> str:
    """The shopper's address on order `number`: a canary that tells orders apart."""
    return f"shopper.{number}@example.com"


def a_webhook(number: int, *, step: int = 0, marketing: bool | None = True, size: int = BODY_BYTES) -> Webhook:
    """Webhook `step` of order `number`: created, then updated; `marketing` None is an order without an answer."""
    order = json.loads(json.dumps(_TEMPLATE))
    order |= {"id": number, "number": str(number), "order_key": f"wc_order_{number:013}", "status": "processing"}
    order["billing"]["email"] = an_email(number)
    order["date_modified"] = f"2026-11-22T01:{step // 60:02}:{step % 60:02}"
    if marketing is not None:
        order["meta_data"].append({"id": 900, "key": "_consent_gateway", "value": _entry(marketing)})
    order["cart_hash"] = ""
    order["cart_hash"] = "x" * max(0, size - len(_written(order)))
    body, topic = _written(order), "order.updated" if step else "order.created"
    signature = base64.b64encode(hmac.digest(SECRET.encode(), body, hashlib.sha256)).decode()
    return Webhook(order_id=str(number), step=step, topic=topic, body=body, signature=signature)


def _entry(marketing: bool) -> str:
    categories = {"functional": True, "preferences": True, "analytics": True, "marketing": marketing}
    return json.dumps({"v": 1, "categories": categories, "source": "client", "captured_at": CAPTURED_AT})


def _written(order: dict[str, Any]) -> bytes:
    return json.dumps(order, separators=(",", ":")).encode()

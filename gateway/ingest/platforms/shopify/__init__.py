"""Shopify: https://shopify.dev/docs/apps/build/webhooks."""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from gateway.errors import BodyMalformed
from gateway.ingest.body import read_values
from gateway.ingest.platform import (
    EvidenceReader,
    RenewalDetection,
    check_signature,
    digest_of,
    header_of,
    mismatch,
    topic_of,
    webhook_of_order,
)
from gateway.ingest.platforms.shopify.order import is_order, read_order
from gateway.ingest.platforms.shopify.topics import GROUPS, guard_of, read_topic
from gateway.model.order import Order, TopicGroup, Webhook

_TOPIC: Final = "X-Shopify-Topic"
_SIGNATURE: Final = "X-Shopify-Hmac-Sha256"
_WEBHOOK_ID: Final = "X-Shopify-Webhook-Id"
_TEST: Final = "X-Shopify-Test"
_ID: Final = re.compile(r"[A-Za-z0-9-]{1,64}")


class Shopify:
    """Reads Shopify's webhooks. Neither the topic nor any other header is signed, only the body is."""

    def __init__(self, read_evidence: EvidenceReader) -> None:
        """Read the consent entries of orders with `read_evidence`."""
        self._read_evidence = read_evidence

    def verify(self, headers: Mapping[str, str], body: bytes, secrets: Sequence[str]) -> None:
        """Raise `SignatureInvalid` unless one of `secrets` signed `body`."""
        keys = [secret.encode("utf-8", "surrogateescape") for secret in secrets]
        check_signature(header_of(headers, _SIGNATURE), body, keys)

    def is_ping(self, headers: Mapping[str, str], body: bytes) -> bool:
        """Shopify signs all that it sends."""
        del headers, body
        return False

    def parse(
        self, headers: Mapping[str, str], body: bytes, detection: RenewalDetection, *, include_tests: bool
    ) -> Webhook:
        """Read a verified webhook; test orders are ignored unless `include_tests`."""
        topic = topic_of(headers, _TOPIC)
        payload = read_values(body)
        key = _key(headers, topic, body)
        if not include_tests and (payload.get("test") is True or header_of(headers, _TEST).lower() == "true"):
            return Webhook(topic=topic, key=key, ignored="test")
        if GROUPS.get(topic) is TopicGroup.ORDERS and topic != "orders/edited":
            return self._read_order(topic, key, payload, detection)
        return read_topic(topic, key, payload)

    def order_of(self, payload: dict[str, object], detection: RenewalDetection) -> Order:
        """Read an order as webhooks and the REST Admin API show it."""
        if not is_order(payload):
            raise BodyMalformed("This is no order.")
        return read_order(payload, detection, self._read_evidence)

    def _read_order(self, topic: str, key: str, payload: dict[str, object], detection: RenewalDetection) -> Webhook:
        if not is_order(payload):
            raise mismatch(topic, "order")
        order = read_order(payload, detection, self._read_evidence)
        return webhook_of_order(topic, key, guard_of(topic, payload), order)


def _key(headers: Mapping[str, str], topic: str, body: bytes) -> str:
    """Return what names this delivery; the event id will not do, several webhooks of one action share it."""
    webhook_id = header_of(headers, _WEBHOOK_ID)
    return webhook_id if _ID.fullmatch(webhook_id) else digest_of(topic, body)

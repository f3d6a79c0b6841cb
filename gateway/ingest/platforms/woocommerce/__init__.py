"""WooCommerce: https://developer.woocommerce.com/docs/apis/rest-api/v3/webhooks/."""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from gateway.errors import BodyMalformed
from gateway.ingest.body import read_values
from gateway.ingest.platform import EvidenceReader, RenewalDetection, check_signature, digest_of, header_of, topic_of
from gateway.ingest.platforms.woocommerce.order import is_order, read_order
from gateway.ingest.platforms.woocommerce.secret import decoded
from gateway.ingest.platforms.woocommerce.topics import read_topic
from gateway.model.order import Order, Webhook

_TOPIC: Final = "X-WC-Webhook-Topic"
_SIGNATURE: Final = "X-WC-Webhook-Signature"
_PING: Final = re.compile(rb"webhook_id=[0-9]{1,20}")


class WooCommerce:
    """Reads WooCommerce's webhooks. Neither the topic nor any other header is signed, only the body is."""

    def __init__(self, read_evidence: EvidenceReader) -> None:
        """Read the consent entries of orders with `read_evidence`."""
        self._read_evidence = read_evidence

    def verify(self, headers: Mapping[str, str], body: bytes, secrets: Sequence[str]) -> None:
        """Raise `SignatureInvalid` unless one of `secrets` signed `body`."""
        check_signature(header_of(headers, _SIGNATURE), body, [decoded(secret) for secret in secrets])

    def is_ping(self, headers: Mapping[str, str], body: bytes) -> bool:
        """Whether this is the form, unsigned and without own headers, that is posted when a webhook is saved."""
        del headers
        return _PING.fullmatch(body) is not None

    def parse(
        self, headers: Mapping[str, str], body: bytes, detection: RenewalDetection, *, include_tests: bool
    ) -> Webhook:
        """Read a verified webhook; WooCommerce has no test orders and marks its renewals itself."""
        del detection, include_tests
        if self.is_ping(headers, body):
            return Webhook(topic="ping", key=digest_of("ping", body), ignored="ping")
        topic = topic_of(headers, _TOPIC)
        return read_topic(topic, digest_of(topic, body), read_values(body), self._read_evidence)

    def order_of(self, payload: dict[str, object], detection: RenewalDetection) -> Order:
        """Read an order as webhooks and the REST API (v2, v3) show it."""
        del detection
        if not is_order(payload):
            raise BodyMalformed("This is no order.")
        return read_order(payload, self._read_evidence)

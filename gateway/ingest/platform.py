"""What every platform offers, and how a webhook's signature is checked."""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Protocol

from gateway.errors import BodyMalformed, SignatureInvalid
from gateway.ingest.answers import noted
from gateway.model.consent import Evidence
from gateway.model.order import Order, TopicGroup, Webhook

_CLOCK_SKEW: Final = timedelta(minutes=5)  # a shopper's clock and the shop's rarely differ by more
_TOPIC: Final = re.compile(r"[A-Za-z0-9_./:-]{1,120}")

EvidenceReader = Callable[[Iterable[tuple[str, object]]], Evidence | None]
"""Reads what an order's metadata entries, as (key, value), say about consent."""


@dataclass(frozen=True, slots=True)
class RenewalDetection:
    """What marks a renewal beside what the platform says: ids of apps that make them, tags that they carry."""

    app_ids: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()


class PlatformReader(Protocol):
    """Reads one platform's webhooks. Any bytes and headers end in a value or a `WebhookRejected`."""

    def verify(self, headers: Mapping[str, str], body: bytes, secrets: Sequence[str]) -> None:
        """Raise `SignatureInvalid` unless one of `secrets` signed `body`."""

    def is_ping(self, headers: Mapping[str, str], body: bytes) -> bool:
        """Whether this is the platform's unsigned test call, to be answered before `verify`."""

    def parse(
        self, headers: Mapping[str, str], body: bytes, detection: RenewalDetection, *, include_tests: bool
    ) -> Webhook:
        """Read a verified webhook; raises `BodyMalformed` when its body is not what its topic announces."""

    def order_of(self, payload: dict[str, object], detection: RenewalDetection) -> Order:
        """Read an order as a webhook or the platform's API shows it; raises `BodyMalformed`."""


def header_of(headers: Mapping[str, str], name: str) -> str:
    """Return a header whatever its letters' case, or an empty text."""
    if (value := headers.get(name)) is not None:
        return value
    wanted = name.lower()
    return next((value for key, value in headers.items() if key.lower() == wanted), "")


def topic_of(headers: Mapping[str, str], name: str) -> str:
    """Return the topic that header `name` gives; raises `BodyMalformed`."""
    topic = header_of(headers, name)
    if not topic:
        raise BodyMalformed(f"The header {name} is missing.")
    if not _TOPIC.fullmatch(topic):
        raise BodyMalformed(f"The header {name} holds no topic.")
    return topic


def mismatch(topic: str, expected: str) -> BodyMalformed:
    """Say that a body is not what its topic announces."""
    return BodyMalformed(f"The topic is {topic}, but the body holds no {expected}.")


def webhook_of_order(topic: str, key: str, guard: str | None, order: Order) -> Webhook:
    """Return the webhook that shows an order whole."""
    return Webhook(
        topic=topic,
        key=key,
        guard=guard,
        group=TopicGroup.ORDERS,
        resource_id=order.order_id,
        order_id=order.order_id,
        customer_id=order.customer_id,
        order=order,
    )


def check_signature(signature: str, body: bytes, keys: Iterable[bytes]) -> None:
    """Raise `SignatureInvalid` unless `signature` is the base64 HMAC-SHA256 of `body` under one of `keys`.

    All keys are tried, each in constant time; an empty key signs nothing.
    """
    try:
        digest = base64.b64decode(signature.encode("ascii"), validate=True)
    except (UnicodeEncodeError, binascii.Error) as error:
        raise SignatureInvalid from error
    fits = [hmac.compare_digest(hmac.digest(key, body, "sha256"), digest) for key in keys if key]
    if not any(fits):
        raise SignatureInvalid


def digest_of(*parts: str | bytes) -> str:
    """Return the SHA-256 in hex of `parts`, one per line."""
    first, *more = [part if isinstance(part, bytes) else part.encode() for part in parts]
    digest = hashlib.sha256(first)
    for part in more:
        digest.update(b"\n")
        digest.update(part)
    return digest.hexdigest()


def dated(evidence: Evidence | None, *, not_after: datetime | None, else_at: datetime | None) -> Evidence | None:
    """Keep an order's evidence from claiming a capture later than `not_after`: then it counts from `else_at`."""
    if evidence is None or evidence.captured_at is None or not_after is None or evidence.captured_at <= not_after:
        return evidence
    is_skew = evidence.captured_at - not_after <= _CLOCK_SKEW
    return noted(replace(evidence, captured_at=else_at), "" if is_skew else "captured_at: later than the order")

"""Kind `webhook`: the store's JSON with a `consent` object, signed as Standard Webhooks v1.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import hashlib
import hmac
import re
from datetime import datetime
from difflib import get_close_matches
from functools import lru_cache

from gateway.deliver.destination import (
    DestinationKind,
    header_mistakes,
    own_headers,
    url_mistakes,
    user_agent,
    visible_ascii,
)
from gateway.errors import DeliveryFailed
from gateway.model.consent import Category
from gateway.model.delivery import Destination, OutboundRequest, Parcel
from gateway.model.order import TopicGroup

PROTECTED_HEADERS = frozenset(
    {
        "content-type",
        "webhook-id",
        "webhook-timestamp",
        "webhook-signature",
        "x-gateway-store",
        "x-gateway-topic",
        "x-gateway-attempt",
    }
)
KEY_PREFIX = "whsec_"
USER_AGENT = user_agent()

_GROUPS = tuple(group.value for group in TopicGroup)
_TOPIC = re.compile(r"[a-z0-9_]+([./][a-z0-9_.-]+)*")


class Webhook(DestinationKind):
    """Any HTTP receiver of the store's own JSON."""

    identity_required = False
    default_purposes = (Category.MARKETING, Category.ANALYTICS)

    def check(self, destination: Destination) -> tuple[str, ...]:
        """Look at the URL, the secret, the headers and the topics."""
        return (
            *url_mistakes(destination.url),
            *_secret_mistakes(destination.secret),
            *header_mistakes(destination, PROTECTED_HEADERS),
            *(mistake for topic in destination.topics if (mistake := _topic_mistake(topic))),
        )

    def build_request(self, destination: Destination, parcel: Parcel, now: datetime) -> OutboundRequest:
        """Post the parcel's body as it is; only the time, its signature and the attempt differ between attempts."""
        webhook_id, timestamp = visible_ascii(parcel.webhook_id), str(int(now.timestamp()))
        headers = [
            ("Content-Type", "application/json"),
            ("webhook-id", webhook_id),
            ("webhook-timestamp", timestamp),
            ("X-Gateway-Store", visible_ascii(parcel.store_id)),
            ("X-Gateway-Topic", visible_ascii(parcel.topic)),
            ("X-Gateway-Attempt", str(parcel.attempt)),
        ]
        if destination.secret:
            headers.append(("webhook-signature", sign(destination.secret, webhook_id, timestamp, parcel.body)))
        headers += _own_headers(destination)
        return OutboundRequest(method="POST", url=destination.url, headers=tuple(headers), body=parcel.body)


@lru_cache(maxsize=256)
def _own_headers(destination: Destination) -> tuple[tuple[str, str], ...]:
    """What the destination's settings add to every request, and who sends it."""
    configured = own_headers(destination, PROTECTED_HEADERS)
    has_agent = any(name.lower() == "user-agent" for name, _ in configured)
    return configured if has_agent else (("User-Agent", USER_AGENT), *configured)


def sign(secret: str, webhook_id: str, timestamp: str, body: bytes) -> str:
    """Sign `id.timestamp.body` with the key behind `whsec_`; a secret of another form fails until it is mended."""
    try:
        key = _key(secret)
    except ValueError:
        raise DeliveryFailed("secret_invalid") from None
    digest = hmac.digest(key, f"{webhook_id}.{timestamp}.".encode() + body, hashlib.sha256)
    return f"v1,{base64.b64encode(digest).decode('ascii')}"


def _secret_mistakes(secret: str) -> tuple[str, ...]:
    if not secret:
        return ()
    if not secret.startswith(KEY_PREFIX):
        return (f"secret: must begin with {KEY_PREFIX}, followed by the key in base64",)
    try:
        key = _key(secret)
    except ValueError:
        return (f"secret: what follows {KEY_PREFIX} is not base64",)
    return () if key else (f"secret: nothing follows {KEY_PREFIX}",)


@lru_cache(maxsize=256)
def _key(secret: str) -> bytes:
    return base64.b64decode(secret.removeprefix(KEY_PREFIX), validate=True)


def _topic_mistake(topic: str) -> str:
    if topic in _GROUPS:
        return ""
    meant = get_close_matches(topic.lower(), _GROUPS, n=1, cutoff=0.8)
    if meant:
        return f"topics: {topic!r} is unknown, {meant[0]!r} may be meant"
    if not _TOPIC.fullmatch(topic):
        return f"topics: {topic!r} is neither one of {', '.join(_GROUPS)} nor the name of a topic"
    return ""

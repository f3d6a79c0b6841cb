"""What each topic's body must look like; topics are not signed, so the body has to agree with them."""

from collections.abc import Callable, Mapping
from typing import Final

from gateway.errors import BodyMalformed
from gateway.ingest.body import write_body
from gateway.ingest.fields import email_of, id_of, object_of
from gateway.ingest.platform import EvidenceReader, digest_of, mismatch, webhook_of_order
from gateway.ingest.platforms.woocommerce.order import is_order, read_order
from gateway.ingest.platforms.woocommerce.subscription import is_subscription, read_subscription
from gateway.model.order import TopicGroup, Webhook

GROUPS: Final[Mapping[str, TopicGroup]] = {
    "order.created": TopicGroup.ORDERS,
    "order.updated": TopicGroup.ORDERS,
    "order.restored": TopicGroup.ORDERS,
    "order.deleted": TopicGroup.DELETED,
    "subscription.created": TopicGroup.SUBSCRIPTIONS,
    "subscription.updated": TopicGroup.SUBSCRIPTIONS,
    "subscription.switched": TopicGroup.SUBSCRIPTIONS,
    "subscription.restored": TopicGroup.SUBSCRIPTIONS,
    "subscription.deleted": TopicGroup.DELETED,
    "customer.created": TopicGroup.CUSTOMERS,
    "customer.updated": TopicGroup.CUSTOMERS,
    "customer.deleted": TopicGroup.DELETED,
}
_DRAFTS: Final = frozenset(("checkout-draft", "auto-draft", "draft", "new"))
_CUSTOMER_FIELDS: Final = frozenset(("email", "username", "role", "is_paying_customer", "billing"))


def read_topic(topic: str, key: str, payload: dict[str, object], read_evidence: EvidenceReader) -> Webhook:
    """Read the payload of `topic`; raises `BodyMalformed` when it is another topic's."""
    group = GROUPS.get(topic)
    if _is_error(payload):
        return Webhook(topic=topic, key=key, ignored="error_object")
    if group is None:
        return Webhook(topic=topic, key=key, ignored="topic")
    if group is TopicGroup.ORDERS:
        return _read_order(topic, key, payload, read_evidence)
    return _READERS[group](topic, key, payload)


def guard_of(topic: str, payload: dict[str, object]) -> str:
    """Return what names a change whichever way it came: the REST API writes the same fields as a webhook."""
    fields = dict(payload)
    fields.pop("_links", None)
    return digest_of("content", topic, write_body(fields, is_sorted=True))


def _read_order(topic: str, key: str, payload: dict[str, object], read_evidence: EvidenceReader) -> Webhook:
    if not is_order(payload):
        raise mismatch(topic, "order")
    # Block checkouts save drafts with the shopper's address before anything was bought.
    # https://github.com/woocommerce/woocommerce/issues/66995
    if payload["status"] in _DRAFTS:
        return Webhook(topic=topic, key=key, ignored="draft", resource_id=id_of(payload["id"]) or "")
    return webhook_of_order(topic, key, guard_of(topic, payload), read_order(payload, read_evidence))


def _read_subscription(topic: str, key: str, payload: dict[str, object]) -> Webhook:
    if not is_subscription(payload):
        raise mismatch(topic, "subscription")
    subscription = read_subscription(payload)
    return Webhook(
        topic=topic,
        key=key,
        guard=guard_of(topic, payload),
        group=TopicGroup.SUBSCRIPTIONS,
        resource_id=subscription.subscription_id,
        order_id=subscription.parent_order_id,
        customer_id=subscription.customer_id,
        email=email_of(object_of(payload.get("billing")).get("email")),
        subscription=subscription,
    )


def _read_customer(topic: str, key: str, payload: dict[str, object]) -> Webhook:
    customer_id = id_of(payload.get("id"))
    if customer_id is None or "line_items" in payload or not payload.keys() & _CUSTOMER_FIELDS:
        raise mismatch(topic, "customer")
    return Webhook(
        topic=topic,
        key=key,
        group=TopicGroup.CUSTOMERS,
        resource_id=customer_id,
        customer_id=customer_id,
        email=email_of(payload.get("email"), object_of(payload.get("billing")).get("email")),
    )


def _read_deleted(topic: str, key: str, payload: dict[str, object]) -> Webhook:
    resource_id = id_of(payload.get("id"))
    if resource_id is None or len(payload) != 1:
        raise BodyMalformed(f"The topic is {topic}, but the body is more or less than an id.")
    return Webhook(
        topic=topic,
        key=key,
        group=TopicGroup.DELETED,
        resource_id=resource_id,
        order_id=resource_id if topic == "order.deleted" else None,
        customer_id=resource_id if topic == "customer.deleted" else None,
    )


def _is_error(payload: dict[str, object]) -> bool:
    """Whether the REST API answered with an error, which WooCommerce signs and delivers like an order.

    A plugin's error may have nothing in `data`; refused, it would count towards the webhook's being switched off.
    """
    has_words = isinstance(payload.get("code"), str) and isinstance(payload.get("message"), str)
    return has_words and "data" in payload and "id" not in payload


_READERS: Final[Mapping[TopicGroup, Callable[[str, str, dict[str, object]], Webhook]]] = {
    TopicGroup.SUBSCRIPTIONS: _read_subscription,
    TopicGroup.CUSTOMERS: _read_customer,
    TopicGroup.DELETED: _read_deleted,
}

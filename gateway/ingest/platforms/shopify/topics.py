"""What each topic's body must look like; topics are not signed, so the body has to agree with them."""

from collections.abc import Callable, Mapping
from typing import Final

from gateway.ingest.fields import email_of, id_of, instant_of, integer_of, object_of, text_of
from gateway.ingest.platform import digest_of, mismatch
from gateway.model.order import Erasure, Subscription, TopicGroup, Webhook

_CONTRACT_EVENTS: Final = ("create", "update", "activate", "pause", "cancel", "expire", "fail")

GROUPS: Final[Mapping[str, TopicGroup]] = {
    **dict.fromkeys(
        (
            "orders/create",
            "orders/updated",
            "orders/paid",
            "orders/cancelled",
            "orders/fulfilled",
            "orders/partially_fulfilled",
            "orders/edited",
        ),
        TopicGroup.ORDERS,
    ),
    "refunds/create": TopicGroup.REFUNDS,
    **dict.fromkeys(
        (f"subscription_contracts/{event}" for event in _CONTRACT_EVENTS),
        TopicGroup.SUBSCRIPTIONS,
    ),
    **dict.fromkeys(
        (f"subscription_billing_attempts/{event}" for event in ("success", "failure", "challenged")),
        TopicGroup.SUBSCRIPTIONS,
    ),
    **dict.fromkeys(
        ("customers/create", "customers/update", "customers/enable", "customers/disable"), TopicGroup.CUSTOMERS
    ),
    "orders/delete": TopicGroup.DELETED,
    "customers/delete": TopicGroup.DELETED,
}
REDACT: Final = "customers/redact"
_CUSTOMER_FIELDS: Final = frozenset(("email", "first_name", "state", "verified_email", "addresses", "tax_exempt"))
_NO_CUSTOMER_FIELDS: Final = frozenset(("line_items", "financial_status", "orders_to_redact", "orders_requested"))
_CONTRACT_FIELDS: Final = frozenset(("origin_order_id", "billing_policy", "delivery_policy"))
_REFUND_FIELDS: Final = frozenset(("refund_line_items", "transactions", "order_adjustments"))


def read_topic(topic: str, key: str, payload: dict[str, object]) -> Webhook:
    """Read the payload of any topic without an order in it; raises `BodyMalformed` when it is another topic's."""
    reader = _READERS.get(topic.partition("/")[0] if topic in GROUPS else topic)
    if GROUPS.get(topic) is TopicGroup.DELETED:
        reader = _read_deleted
    return reader(topic, key, payload) if reader else Webhook(topic=topic, key=key, ignored="topic")


def guard_of(topic: str, payload: dict[str, object]) -> str | None:
    """Return what names the change itself, whatever delivery id it comes under."""
    resource_id, updated_at = id_of(payload.get("id")), text_of(payload.get("updated_at"), most=64)
    return digest_of(topic, resource_id, updated_at) if resource_id and updated_at else None


def _read_edit(topic: str, key: str, payload: dict[str, object]) -> Webhook:
    edit = object_of(payload.get("order_edit"))
    order_id, edit_id = id_of(edit.get("order_id")), id_of(edit.get("id"))
    if order_id is None or edit_id is None:
        raise mismatch(topic, "order edit")
    return Webhook(topic=topic, key=key, group=TopicGroup.ORDERS, resource_id=edit_id, order_id=order_id)


def _read_refund(topic: str, key: str, payload: dict[str, object]) -> Webhook:
    refund_id, order_id = id_of(payload.get("id")), id_of(payload.get("order_id"))
    if refund_id is None or order_id is None or not payload.keys() & _REFUND_FIELDS:
        raise mismatch(topic, "refund")
    return Webhook(
        topic=topic,
        key=key,
        guard=digest_of(topic, refund_id),  # a refund never changes
        group=TopicGroup.REFUNDS,
        resource_id=refund_id,
        order_id=order_id,
    )


def _read_customer(topic: str, key: str, payload: dict[str, object]) -> Webhook:
    customer_id = id_of(payload.get("id"))
    if customer_id is None or payload.keys() & _NO_CUSTOMER_FIELDS or not payload.keys() & _CUSTOMER_FIELDS:
        raise mismatch(topic, "customer")
    return Webhook(
        topic=topic,
        key=key,
        guard=guard_of(topic, payload),
        group=TopicGroup.CUSTOMERS,
        resource_id=customer_id,
        customer_id=customer_id,
        email=email_of(payload.get("email")),
    )


def _read_deleted(topic: str, key: str, payload: dict[str, object]) -> Webhook:
    resource_id, is_order = id_of(payload.get("id")), topic == "orders/delete"
    # A deleted customer may come with what is left of the customer; an order is its id alone.
    if resource_id is None or (len(payload) > 1 if is_order else payload.keys() & _NO_CUSTOMER_FIELDS):
        raise mismatch(topic, "deletion")
    return Webhook(
        topic=topic,
        key=key,
        group=TopicGroup.DELETED,
        resource_id=resource_id,
        order_id=resource_id if is_order else None,
        customer_id=None if is_order else resource_id,
        email=None if is_order else email_of(payload.get("email")),
    )


def _read_contract(topic: str, key: str, payload: dict[str, object]) -> Webhook:
    contract_id, billing = id_of(payload.get("id")), object_of(payload.get("billing_policy"))
    if contract_id is None or not payload.keys() & _CONTRACT_FIELDS:
        raise mismatch(topic, "subscription contract")
    subscription = Subscription(
        subscription_id=contract_id,
        parent_order_id=_id(payload, "origin_order_id"),
        customer_id=_id(payload, "customer_id"),
        status=text_of(payload.get("status"), most=64),
        period=text_of(billing.get("interval"), most=32),
        interval=integer_of(billing.get("interval_count")),
        next_payment_at=instant_of(payload.get("next_billing_date")),
        updated_at=instant_of(payload.get("updated_at")),
    )
    return _subscription(topic, key, payload, subscription, subscription.parent_order_id)


def _read_attempt(topic: str, key: str, payload: dict[str, object]) -> Webhook:
    contract_id, order_id = _id(payload, "subscription_contract_id"), _id(payload, "order_id")
    if contract_id is None:
        raise mismatch(topic, "billing attempt")
    subscription = Subscription(subscription_id=contract_id, renewal_order_id=order_id)
    return _subscription(topic, key, payload, subscription, order_id)


def _subscription(
    topic: str, key: str, payload: dict[str, object], subscription: Subscription, order_id: str | None
) -> Webhook:
    return Webhook(
        topic=topic,
        key=key,
        guard=guard_of(topic, payload),
        group=TopicGroup.SUBSCRIPTIONS,
        resource_id=subscription.subscription_id,
        order_id=order_id,
        customer_id=subscription.customer_id,
        subscription=subscription,
    )


def _read_redaction(topic: str, key: str, payload: dict[str, object]) -> Webhook:
    """Read whom to forget. The list of orders is the mark: a signed order would name its customer as well."""
    customer, orders = object_of(payload.get("customer")), payload.get("orders_to_redact")
    if not isinstance(orders, list) or "shop_id" not in payload or "id" in payload:
        raise mismatch(topic, "redaction")
    customer_id = id_of(customer.get("id"))
    order_ids = tuple(dict.fromkeys(found for order in orders if (found := id_of(order))))
    return Webhook(
        topic=topic,
        key=key,
        resource_id=customer_id or "",
        customer_id=customer_id,
        erasure=Erasure(customer_id=customer_id, email=email_of(customer.get("email")), order_ids=order_ids),
    )


def _id(payload: dict[str, object], key: str) -> str | None:
    return id_of(payload.get(key)) or id_of(payload.get(f"admin_graphql_api_{key}"))


_READERS: Final[Mapping[str, Callable[[str, str, dict[str, object]], Webhook]]] = {
    "orders": _read_edit,
    "refunds": _read_refund,
    "customers": _read_customer,
    "subscription_contracts": _read_contract,
    "subscription_billing_attempts": _read_attempt,
    REDACT: _read_redaction,
}

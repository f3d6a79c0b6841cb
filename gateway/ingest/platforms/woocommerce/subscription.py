"""Subscriptions of WooCommerce Subscriptions, as `subscription.*` webhooks and `/wc/v3/subscriptions` show them."""

from gateway.ingest.fields import id_of, instant_of, integer_of, text_of
from gateway.model.order import Subscription


def is_subscription(payload: dict[str, object]) -> bool:
    """Whether the payload has a subscription's shape."""
    return id_of(payload.get("id")) is not None and isinstance(payload.get("billing_period"), str)


def read_subscription(payload: dict[str, object]) -> Subscription:
    """Read a payload of a subscription's shape; `parent_id` is the order that began it."""
    return Subscription(
        subscription_id=id_of(payload["id"]) or "",
        parent_order_id=id_of(payload.get("parent_id")),
        customer_id=id_of(payload.get("customer_id")),
        status=text_of(payload.get("status"), most=64),
        period=text_of(payload.get("billing_period"), most=32),
        interval=integer_of(payload.get("billing_interval")),
        next_payment_at=instant_of(payload.get("next_payment_date_gmt")),
        updated_at=instant_of(payload.get("date_modified_gmt")),
    )

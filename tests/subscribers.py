"""Subscriptions of a WooCommerce shop for tests: what its webhooks say of them and of their renewals."""

from datetime import datetime, timedelta
from typing import Any

from tests.shops import a_woo_order

Json = dict[str, Any]


def in_store(at: datetime) -> str:
    """A time as WooCommerce writes it."""
    return at.strftime("%Y-%m-%dT%H:%M:%S")


def an_order_at(order_id: int, at: datetime, entry: str | None = None, **changes: Any) -> Json:
    """An order that was made and last changed at a time."""
    return a_woo_order(
        order_id, entry, **{"date_created_gmt": in_store(at), "date_modified_gmt": in_store(at)} | changes
    )


def a_subscription(subscription_id: int, parent_id: int, at: datetime, **changes: Any) -> Json:
    """A monthly subscription that began with an order."""
    given = {
        "id": subscription_id,
        "parent_id": parent_id,
        "status": "active",
        "currency": "EUR",
        "customer_id": 5,
        "billing_period": "month",
        "billing_interval": "1",
        "date_created_gmt": in_store(at),
        "date_modified_gmt": in_store(at),
        "next_payment_date_gmt": in_store(at + timedelta(days=30)),
        "billing": {"first_name": "Jan", "email": "jan.novak@example.com"},
        "meta_data": [],
        "line_items": [],
    }
    return given | changes


def a_renewal(order_id: int, subscription_id: int, at: datetime, entry: str | None = None, **changes: Any) -> Json:
    """The order that a subscription makes, with what the shop copies onto it from a year ago."""
    given: Json = {"created_via": "subscription", "customer_id": 5, "customer_ip_address": "203.0.113.9"} | changes
    order = an_order_at(order_id, at, entry, **given)
    order["meta_data"].append({"id": 90, "key": "_subscription_renewal", "value": str(subscription_id)})
    order["meta_data"].append({"id": 91, "key": "_meta_purchase_tracked_server", "value": "yes"})
    return order

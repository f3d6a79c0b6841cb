"""Renewals and the subscriptions behind them, where only another webhook tells of the link."""

from datetime import datetime

from gateway.model.consent import OrderConsent
from gateway.model.order import Order, Origin, Relation, Subscription
from gateway.storage.consent import order_columns
from gateway.storage.statements import Row


def linked_row(known: Row | None, store_id: str, subscription: Subscription, now: datetime) -> Row | None:
    """Return the row of the order that a billing attempt made, named as a renewal; None where it made none.

    The order's own webhook may come later; until then the row stands for it without any of its facts.
    """
    order_id = subscription.renewal_order_id
    if not order_id or order_id == subscription.parent_order_id:
        return None
    row = known or _unseen_row(store_id, order_id, now)
    ids = dict.fromkeys([*row["subscription_ids"], subscription.subscription_id])
    return {**row, "relation": Relation.RENEWAL.value, "subscription_ids": list(ids)}


def kept_links(order: Order, known: Row | None) -> Row:
    """Return how an order relates to subscriptions, with what was known of that before its webhook came."""
    ids = list(order.subscription_ids) or (known["subscription_ids"] if known else [])
    is_linked = known is not None and order.relation is Relation.NONE
    relation = known["relation"] if is_linked and known else order.relation.value
    return {"relation": relation, "subscription_ids": ids}


def _unseen_row(store_id: str, order_id: str, now: datetime) -> Row:
    return {
        "store_id": store_id,
        "order_id": order_id,
        "number": "",
        "status": "",
        "origin": Origin.RENEWAL.value,
        "relation": Relation.NONE.value,
        "subscription_ids": [],
        "customer_id": None,
        "session_hash": None,
        "email_hash": None,
        "currency": "",
        "total": "",
        "placed_at": None,
        "changed_at": None,
        "seen_at": now,
        "has_order": False,
        "copied": None,
        "stamp": None,
        "erased_at": None,
        **order_columns(OrderConsent(frozen_at=now)),
    }

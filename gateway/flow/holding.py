"""How long a delivery waits: for an answer, or for the order whose consent it follows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from gateway.flow.item import Intake
from gateway.flow.linking import kept_links
from gateway.model.decision import Mode, RenewalRule
from gateway.storage.context import is_renewal
from gateway.storage.statements import Connection, Row
from gateway.storage.subscriptions import customers_with_record, known_parents

FETCH_WAIT: Final = timedelta(seconds=60)  # how long a renewal waits for the order behind it to be fetched
LINK_WAIT: Final = timedelta(seconds=5)  # and for the webhook that tells of it: a store sends them in any order

Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Behind:
    """What is known of the orders behind renewals: subscriptions whose order was seen, customers with a record."""

    subscriptions: frozenset[Key] = frozenset()
    customers: frozenset[Key] = frozenset()


def load_behind(connection: Connection, items: Sequence[Intake], orders: Mapping[Key, Row]) -> Behind:
    """Read what is known behind the renewals of a batch."""
    renewals = [item for item in items if _may_wait(item) and _named(item, orders) is not None]
    followed = [(item.store_id, one) for item in renewals for one in _named(item, orders) or ()]
    customers = [(item.store_id, item.webhook.customer_id) for item in renewals if item.webhook.customer_id]
    return Behind(
        subscriptions=frozenset(known_parents(connection, followed)),
        customers=frozenset(customers_with_record(connection, customers)),
    )


def held_until(item: Intake, order: Row | None, behind: Behind) -> datetime | None:
    """Return until when a delivery waits: for an answer, or for the order behind a renewal or a subscription."""
    if item.policy.mode is Mode.OFF:
        return None
    until = order["frozen_at"] if order is not None else item.received_at
    if _is_behind_unknown(item, order, behind):
        link_wait = min(LINK_WAIT, timedelta(seconds=item.policy.hold_seconds))
        until = max(until, item.received_at + (FETCH_WAIT if item.may_fetch else link_wait))
    return until if until > item.received_at else None


def _is_behind_unknown(item: Intake, order: Row | None, behind: Behind) -> bool:
    """Whether it follows the record of another order, and that order is not there yet."""
    if not _may_wait(item):
        return False
    if item.webhook.order is None:
        told = item.webhook.subscription
        return told is not None and bool(told.parent_order_id) and order is None
    if order is None or not is_renewal(order) or order["consent_state"] is not None:
        return False
    named = order["subscription_ids"]
    if named:
        return not any((item.store_id, one) in behind.subscriptions for one in named)
    return (item.store_id, item.webhook.customer_id or "") not in behind.customers


def _may_wait(item: Intake) -> bool:
    return item.policy.mode is not Mode.OFF and item.policy.renewals is not RenewalRule.UNKNOWN


def _named(item: Intake, orders: Mapping[tuple[str, str], Row]) -> list[str] | None:
    """Return the subscriptions behind a renewal; None for any other order."""
    order, known = item.webhook.order, orders.get(item.order_key)
    if order is None or not is_renewal({"origin": order.origin, **kept_links(order, known)}):
        return None
    return list(kept_links(order, known)["subscription_ids"])

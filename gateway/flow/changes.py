"""Changes of orders as a store's API shows them, and the webhooks that should have told of them."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from gateway.errors import WebhookRejected
from gateway.flow.stores.api import Payload, StoreApi
from gateway.ingest.body import write_body
from gateway.ingest.fields import instant_of
from gateway.ingest.platform import RenewalDetection
from gateway.ingest.platforms import PLATFORMS
from gateway.model.order import Order, Platform, Webhook
from gateway.settings import StoreSettings
from gateway.storage.statements import Row

OVERLAP: Final = timedelta(minutes=5)  # a change may become visible after a later one


@dataclass(frozen=True, slots=True)
class Change:
    """One order as the store's API shows it."""

    payload: Payload = field(repr=False)
    order: Order = field(repr=False)

    @property
    def at(self) -> datetime:
        """The store's own time of the change."""
        return self.order.updated_at or self.order.created_at or datetime.min.replace(tzinfo=UTC)

    @property
    def day(self) -> str:
        """The day of the change in UTC."""
        return self.at.strftime("%Y-%m-%d")


def changes_of(store: StoreSettings, payloads: Iterable[Payload]) -> list[Change]:
    """Read orders in the order in which they come; what cannot be read is left out."""
    reader, detection = PLATFORMS[Platform(store.platform)], detection_of(store)
    changes: list[Change] = []
    for payload in payloads:
        try:
            changes.append(Change(payload, reader.order_of(payload, detection)))
        except WebhookRejected:
            continue
    return changes


def is_known(row: Row | None, order: Order) -> bool:
    """Whether this change, or a later one, came before."""
    if row is None or not _was_seen(row):
        return False
    if order.updated_at is None or row["changed_at"] > order.updated_at:
        return True
    return bool(row["changed_at"] == order.updated_at and row["status"] == order.status)


def missed_webhooks(
    store: StoreSettings, api: StoreApi, change: Change, row: Row | None
) -> list[tuple[Webhook, bytes]]:
    """Return the webhooks that should have come, with their bodies; none where there is nothing to do."""
    body = write_body(change.payload)
    status_before = row["status"] if row is not None and _was_seen(row) else None
    topics = api.missed_topics(change.order, status_before)
    parsed = [parse_fetched(store, api, topic, body) for topic in topics]
    return [(webhook, body) for webhook in parsed if webhook is not None]


def refund_webhooks(
    store: StoreSettings, api: StoreApi, change: Change, since: datetime
) -> list[tuple[Webhook, bytes]]:
    """Return the webhooks that the refunds of an order should have brought, of those made after an instant."""
    refunds = [one for one in api.refunds_of(change.payload) if _made_at(one) >= since]
    bodies = [write_body(one) for one in refunds]
    parsed = [(parse_fetched(store, api, api.refund_topic, body), body) for body in bodies]
    return [(webhook, body) for webhook, body in parsed if webhook is not None]


def parse_fetched(store: StoreSettings, api: StoreApi, topic: str, body: bytes) -> Webhook | None:
    """Read what was fetched as if its webhook had come; None where there is nothing to do."""
    reader = PLATFORMS[Platform(store.platform)]
    try:
        webhook = reader.parse(api.headers_of(topic), body, detection_of(store), include_tests=store.test_orders)
    except WebhookRejected:
        return None
    return None if webhook.ignored else webhook


def detection_of(store: StoreSettings) -> RenewalDetection:
    """Return what marks a renewal in this store."""
    return RenewalDetection(app_ids=store.renewal_app_ids, tags=store.renewal_tags)


def _was_seen(row: Row) -> bool:
    """Whether an order was received as such, rather than named by something else or only looked up."""
    return bool(row["has_order"]) and row["changed_at"] is not None


def _made_at(refund: Payload) -> datetime:
    return instant_of(refund.get("created_at")) or datetime.min.replace(tzinfo=UTC)

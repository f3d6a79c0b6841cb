"""Shopify's REST Admin API, whose orders have the shape of its webhooks: https://shopify.dev/docs/api/admin-rest."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from gateway.flow.stores.api import Page, Payload, WebhookState
from gateway.flow.stores.client import Answer, StoreClient
from gateway.ingest.fields import object_of, objects_of
from gateway.model.order import Order
from gateway.settings import ApiSettings

_ROOT: Final = "/admin/api/2026-07"
_SIZE: Final = "100"
_MOST_PAGES: Final = 10_000
_FULL: Final = 0.8  # of the bucket of calls, which leaks two a second
_PAUSE_SECONDS: Final = 1.0
_PAID: Final = frozenset(("paid", "partially_refunded", "refunded"))


class ShopifyApi:
    """Asks a Shopify store by the token of an app; without `read_all_orders` it shows the last 60 days."""

    order_topic = "orders/updated"
    subscription_topic = "subscription_contracts/update"
    refund_topic = "refunds/create"

    def __init__(self, client: StoreClient, api: ApiSettings) -> None:
        """Send the token in a header."""
        self._client = client
        self._headers = {"X-Shopify-Access-Token": api.token}

    def orders_since(self, since: datetime) -> Iterator[Page]:
        """Yield changed orders; the cursor stays where it is while orders change."""
        after = since.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        query = {"status": "any", "updated_at_min": after, "order": "updated_at asc", "limit": _SIZE}
        return self._pages("/orders.json", query)

    def subscriptions_since(self, since: datetime) -> Iterator[Page]:
        """Yield nothing: only the app that owns a contract may read it."""
        del since
        return iter(())

    def order(self, order_id: str) -> Payload | None:
        """Return one order."""
        answer = self._get(f"/orders/{order_id}.json", {})
        return object_of(answer.payload.get("order")) or None if answer else None

    def subscription(self, subscription_id: str) -> Payload | None:
        """Return nothing: only the app that owns a contract may read it."""
        del subscription_id
        return None

    def orders_of_subscription(self, subscription: Mapping[str, Any]) -> list[Payload]:
        """Return the orders of the subscription's customer, the one link that there is."""
        customer_id = subscription["customer_id"]
        return self.orders_of_customer(customer_id) if customer_id else []

    def orders_of_customer(self, customer_id: str) -> list[Payload]:
        """Return the orders of a customer."""
        pages = self._pages(f"/customers/{customer_id}/orders.json", {"status": "any", "limit": _SIZE})
        return [one for page in pages for one in page.payloads]

    def webhooks(self) -> list[WebhookState]:
        """Return none: Shopify deletes a failing webhook instead of switching it off."""
        return []

    def activate_webhook(self, webhook_id: str) -> None:
        """There is nothing to switch on."""

    def headers_of(self, topic: str) -> dict[str, str]:
        """Return the header that names a topic."""
        return {"X-Shopify-Topic": topic}

    def missed_topics(self, order: Order, status_before: str | None) -> tuple[str, ...]:
        """Return the topics by which a change is told, by what the order has become since it was seen."""
        is_paid = order.status in _PAID and (status_before or "") not in _PAID
        is_cancelled = order.status == "cancelled" and status_before != "cancelled"
        become = (("orders/paid",) if is_paid else ()) + (("orders/cancelled",) if is_cancelled else ())
        if status_before is None:
            return ("orders/create", *become)
        return become or ("orders/updated",)

    def refunds_of(self, payload: Payload) -> list[Payload]:
        """Return the refunds of an order, in the shape of their webhooks."""
        return objects_of(payload.get("refunds"))

    def _pages(self, path: str, query: Mapping[str, str]) -> Iterator[Page]:
        for _ in range(_MOST_PAGES):
            answer = self._get(path, query)
            if answer is None:
                return
            yield Page(payloads=objects_of(answer.payload.get("orders")), is_by_time=True)
            cursor = parse_qs(urlsplit(answer.next_url).query).get("page_info")
            if not cursor:
                return
            # A page that is asked for by its cursor takes no other filter.
            query = {"limit": _SIZE, "page_info": cursor[0]}

    def _get(self, path: str, query: Mapping[str, str]) -> Answer | None:
        answer = self._client.get(f"{_ROOT}{path}", query, self._headers)
        used, _, most = (answer.header("x-shopify-shop-api-call-limit") if answer else "").partition("/")
        if used.isdecimal() and most.isdecimal() and int(used) >= _FULL * int(most):
            self._client.pause(_PAUSE_SECONDS)
        return answer

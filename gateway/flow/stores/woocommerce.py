"""WooCommerce's REST API: https://developer.woocommerce.com/docs/apis/rest-api/v3/."""

import base64
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from gateway.flow.stores.api import Page, Payload, StoreFailed, WebhookState
from gateway.flow.stores.client import Answer, StoreClient
from gateway.ingest.fields import id_of, objects_of, text_of
from gateway.model.order import Order
from gateway.settings import ApiSettings

_ROOT: Final = "/wp-json/wc/v3"
_PAGE_SIZES: Final = (100, 20, 4, 1)  # smaller when an answer is too large to be read
_MOST_PASSES: Final = 5
_MOST_PAGES: Final = 10_000
_RENEWALS: Final = "_subscription_renewal_order_ids_cache"


class WooCommerceApi:
    """Asks a WooCommerce store by consumer key and secret."""

    order_topic = "order.updated"
    subscription_topic = "subscription.updated"
    refund_topic = "order.updated"

    def __init__(self, client: StoreClient, api: ApiSettings) -> None:
        """Send the credentials in a header, never in a URL, which servers log."""
        self._client = client
        pair = base64.b64encode(f"{api.key}:{api.secret}".encode()).decode("ascii")
        self._headers = {"Authorization": f"Basic {pair}"}

    def orders_since(self, since: datetime) -> Iterator[Page]:
        """Yield changed orders."""
        return self._changed("/orders", since)

    def subscriptions_since(self, since: datetime) -> Iterator[Page]:
        """Yield changed subscriptions of WooCommerce Subscriptions, whose list takes the same filters."""
        return self._changed("/subscriptions", since)

    def order(self, order_id: str) -> Payload | None:
        """Return one order."""
        return self._one(f"/orders/{order_id}")

    def subscription(self, subscription_id: str) -> Payload | None:
        """Return one subscription of WooCommerce Subscriptions."""
        return self._one(f"/subscriptions/{subscription_id}")

    def orders_of_subscription(self, subscription: Mapping[str, Any]) -> list[Payload]:
        """Return the orders of a subscription: by its own list, and by the ids that it keeps of its renewals.

        A store without such a list shows the orders of the subscription's customer.
        """
        subscription_id, customer_id = subscription["subscription_id"], subscription["customer_id"]
        answer = self._get(f"/subscriptions/{subscription_id}/orders", {"per_page": "100"})
        found = {id_of(one.get("id")): one for one in objects_of(answer.payload.get("items"))} if answer else {}
        for order_id in _renewal_ids(self.subscription(subscription_id) or {}):
            if order_id not in found and (payload := self.order(order_id)):
                found[order_id] = payload
        if answer is None and not found and customer_id:
            return self.orders_of_customer(customer_id)
        return list(found.values())

    def orders_of_customer(self, customer_id: str) -> list[Payload]:
        """Return the orders of a customer."""
        query = {"customer": customer_id, "orderby": "id", "order": "asc"}
        return [one for page in self._pages("/orders", query) for one in page.payloads]

    def webhooks(self) -> list[WebhookState]:
        """Return every webhook of the store."""
        found = [one for page in self._pages("/webhooks", {"status": "all"}) for one in page.payloads]
        return [
            WebhookState(
                webhook_id=id_of(one.get("id")) or "",
                topic=text_of(one.get("topic"), most=120),
                status=text_of(one.get("status"), most=20),
                delivery_url=text_of(one.get("delivery_url"), most=2048),
            )
            for one in found
        ]

    def activate_webhook(self, webhook_id: str) -> None:
        """Switch a webhook on again, which also resets its count of failures."""
        if self._client.put(f"{_ROOT}/webhooks/{webhook_id}", {"status": "active"}, self._headers) is None:
            raise StoreFailed("http_404")

    def headers_of(self, topic: str) -> dict[str, str]:
        """Return the header that names a topic."""
        return {"X-WC-Webhook-Topic": topic}

    def missed_topics(self, order: Order, status_before: str | None) -> tuple[str, ...]:
        """Return the one topic: WooCommerce has none for what happened."""
        del order
        return ("order.created",) if status_before is None else ("order.updated",)

    def refunds_of(self, payload: Payload) -> list[Payload]:
        """Return none: a refund changes its order, and comes with it."""
        del payload
        return []

    def _changed(self, path: str, since: datetime) -> Iterator[Page]:
        """Yield what changed, by id: WordPress breaks ties of time differently on each page, and so leaves some out.

        Pages shift while orders vanish, so a list of several pages is read again until it brings nothing new.
        """
        # Without a zone: with one, WordPress would turn it into the site's time before comparing it to UTC.
        after = since.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")
        query = {"modified_after": after, "dates_are_gmt": "true", "orderby": "id", "order": "asc"}
        known: set[tuple[str, str]] = set()
        for _ in range(_MOST_PASSES):
            pages, fresh = 0, 0
            for page in self._pages(path, query):
                new = [one for one in page.payloads if _version(one) not in known]
                known.update(_version(one) for one in new)
                pages, fresh = pages + 1, fresh + len(new)
                yield Page(payloads=new, total=page.total)
            if pages <= 1 or not fresh:
                return

    def _pages(self, path: str, query: Mapping[str, str]) -> Iterator[Page]:
        """Yield all pages of a list; begins anew with smaller pages when one is too large to be read."""
        for size in _PAGE_SIZES:
            try:
                yield from self._pages_of(size, path, query)
            except StoreFailed as failure:
                if failure.word != "unreadable" or size == _PAGE_SIZES[-1]:
                    raise
            else:
                return

    def _pages_of(self, size: int, path: str, query: Mapping[str, str]) -> Iterator[Page]:
        for number in range(1, _MOST_PAGES):
            answer = self._get(path, {**query, "per_page": str(size), "page": str(number)})
            if answer is None:
                raise StoreFailed("http_404")
            payloads = objects_of(answer.payload.get("items"))
            yield Page(payloads=payloads, total=_integer(answer.header("x-wp-total")))
            last = _integer(answer.header("x-wp-totalpages"))
            if not payloads or (last is not None and number >= last):
                return

    def _one(self, path: str) -> Payload | None:
        answer = self._get(path, {})
        return answer.payload if answer and id_of(answer.payload.get("id")) else None

    def _get(self, path: str, query: Mapping[str, str]) -> Answer | None:
        return self._client.get(f"{_ROOT}{path}", query, self._headers)


def _version(payload: Payload) -> tuple[str, str]:
    return id_of(payload.get("id")) or "", text_of(payload.get("date_modified_gmt"), most=64)


def _renewal_ids(subscription: Payload) -> list[str]:
    """Return the renewal orders that a subscription keeps in its metadata, the newest first there."""
    entries = objects_of(subscription.get("meta_data"))
    values = [one.get("value") for one in entries if one.get("key") == _RENEWALS]
    ids = [id_of(one) for value in values if isinstance(value, list) for one in value]
    return [one for one in ids if one][:5]


def _integer(text: str) -> int | None:
    return int(text) if text.isdecimal() and len(text) < 10 else None  # noqa: PLR2004 - no list is that long

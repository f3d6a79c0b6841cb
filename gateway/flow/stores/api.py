"""What every store's API can be asked."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from gateway.errors import GatewayError
from gateway.flow.item import Taken
from gateway.model.order import Order, Webhook
from gateway.settings import StoreSettings

Payload = dict[str, object]


class StoreFailed(GatewayError):
    """The store's API did not answer as it should; `word` names the cause."""

    def __init__(self, word: str) -> None:
        """Keep the cause as one word that an operator can read."""
        super().__init__(f"the store's API failed: {word}")
        self.word = word


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Some orders of a list; `total` is how many the whole list has, None where the store does not say.

    `is_by_time` says that the list was asked for with the earliest change first, and that no page loses any.
    """

    payloads: Sequence[Payload] = field(repr=False)
    total: int | None = None
    is_by_time: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookState:
    """One webhook as the store keeps it."""

    webhook_id: str
    topic: str
    status: str
    delivery_url: str = field(repr=False)

    @property
    def is_disabled(self) -> bool:
        """Whether the store switched it off after failures; one that was paused was paused by somebody."""
        return self.status == "disabled"


class StoreApi(Protocol):
    """One store, asked over its platform's API. Everything raises StoreFailed; what is not there is None or empty."""

    def orders_since(self, since: datetime) -> Iterator[Page]:
        """Yield pages of the orders that changed after an instant."""
        ...

    def subscriptions_since(self, since: datetime) -> Iterator[Page]:
        """Yield pages of the subscriptions that changed after an instant, where the platform shows them."""
        ...

    def order(self, order_id: str) -> Payload | None:
        """Return one order."""
        ...

    def subscription(self, subscription_id: str) -> Payload | None:
        """Return one subscription."""
        ...

    def orders_of_subscription(self, subscription: Mapping[str, Any]) -> list[Payload]:
        """Return the orders that a subscription (by its row) has made so far."""
        ...

    def orders_of_customer(self, customer_id: str) -> list[Payload]:
        """Return a customer's orders, as far back as the store shows them."""
        ...

    def webhooks(self) -> list[WebhookState]:
        """Return the webhooks of the store, where the platform has them by the hand of its owner."""
        ...

    def activate_webhook(self, webhook_id: str) -> None:
        """Switch a webhook on again."""
        ...

    def headers_of(self, topic: str) -> dict[str, str]:
        """Return the headers under which a webhook of this topic would have come."""
        ...

    def missed_topics(self, order: Order, status_before: str | None) -> tuple[str, ...]:
        """Return the topics of the webhooks that a change should have brought; None: the order was never seen."""
        ...

    def refunds_of(self, payload: Payload) -> list[Payload]:
        """Return the refunds of an order that have webhooks of their own."""
        ...

    @property
    def order_topic(self) -> str:
        """The topic under which a changed order comes."""
        ...

    @property
    def refund_topic(self) -> str:
        """The topic under which a refund of its own comes."""
        ...

    @property
    def subscription_topic(self) -> str:
        """The topic under which a changed subscription comes."""
        ...


class TakeIn(Protocol):
    """Records a webhook that is known to be genuine; one that is taken in silently goes to no destination."""

    def __call__(
        self, store: StoreSettings, webhook: Webhook, body: bytes, *, via: str = ..., is_silent: bool = ...
    ) -> Taken:
        """Return what became of it."""
        ...

"""Orders, subscriptions and the webhooks that tell of them, as the gateway sees them."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from gateway.model.consent import Evidence


class Platform(StrEnum):
    """How a store signs, names and shapes its webhooks."""

    WOOCOMMERCE = "woocommerce"
    SHOPIFY = "shopify"


class Origin(StrEnum):
    """How an order came about; the unknown rule may differ per origin."""

    CHECKOUT = "checkout"  # a shopper in a browser or app
    ADMIN = "admin"  # made by staff
    API = "api"  # made by a program
    RENEWAL = "renewal"  # made by a subscription, no shopper present
    POS = "pos"  # point of sale
    IMPORT = "import"  # brought in from elsewhere


class TopicGroup(StrEnum):
    """What a topic is about; destinations choose by group or by exact topic."""

    ORDERS = "orders"
    REFUNDS = "refunds"
    SUBSCRIPTIONS = "subscriptions"
    CUSTOMERS = "customers"
    DELETED = "deleted"
    EVENTS = "events"  # session events and scheduled renewals, never a store's webhook


class Relation(StrEnum):
    """How an order relates to the subscriptions that it names."""

    NONE = "none"
    RENEWAL = "renewal"
    SWITCH = "switch"
    RESUBSCRIBE = "resubscribe"


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One order as a webhook shows it. Ids are strings; a guest has no `customer_id`.

    `evidence` is what the order's own metadata says about consent, the first that was found by precedence;
    `order_key` and `checkout_tokens` are secrets that open a shopper's pages and are only ever hashed.
    `stamped_session` is the session id that the consent entry names.
    """

    order_id: str
    number: str = ""
    status: str = ""
    origin: Origin = Origin.CHECKOUT
    created_at: datetime | None = None
    updated_at: datetime | None = None
    customer_id: str | None = None
    email: str | None = field(default=None, repr=False)
    order_key: str | None = field(default=None, repr=False)
    checkout_tokens: tuple[str, ...] = field(default=(), repr=False)
    relation: Relation = Relation.NONE
    subscription_ids: tuple[str, ...] = ()
    currency: str = ""
    total: str = ""
    evidence: Evidence | None = None

    @property
    def stamped_session(self) -> str | None:
        """The session that the order's own consent entry names."""
        return self.evidence.session_id if self.evidence else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """One subscription as a webhook shows it; `parent_order_id` is the order that began it."""

    subscription_id: str
    parent_order_id: str | None = None
    customer_id: str | None = None
    status: str = ""
    period: str = ""
    interval: int | None = None
    next_payment_at: datetime | None = None
    updated_at: datetime | None = None
    renewal_order_id: str | None = None  # a billing attempt names the order that it made


@dataclass(frozen=True, slots=True, kw_only=True)
class Erasure:
    """A request to forget people: a platform's compliance webhook that names them in its signed body."""

    customer_id: str | None = None
    email: str | None = field(default=None, repr=False)
    order_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """One verified webhook.

    `key` is what makes it this very delivery; a second `guard` key catches the same change sent under another
    delivery id. `ignored` is the reason there is nothing to do, else "". `order_id` is the order it is about,
    also when the body holds no order (refunds, deletions). `email` is the address of a customer or a subscription.
    `group` is None for topics that no destination takes.
    """

    topic: str
    key: str
    guard: str | None = None
    group: TopicGroup | None = None
    ignored: str = ""
    resource_id: str = ""
    order_id: str | None = None
    customer_id: str | None = None
    email: str | None = field(default=None, repr=False)
    order: Order | None = None
    subscription: Subscription | None = None
    erasure: Erasure | None = None

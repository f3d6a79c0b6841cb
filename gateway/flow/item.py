"""One verified webhook on its way into the database."""

from dataclasses import dataclass, field
from datetime import datetime

from gateway.model.consent import Evidence
from gateway.model.decision import Policy
from gateway.model.order import Webhook

RECONCILED = "reconcile"


@dataclass(frozen=True, slots=True, kw_only=True)
class Addressee:
    """A destination that takes a webhook or an event, and the id that its receiver will see on every attempt."""

    destination_id: str
    message_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Intake:
    """One verified webhook, ready to be recorded. Hashes are keyed; `sealed` is None when nothing takes it.

    `may_fetch` says that the store can be asked for the order behind a renewal.
    """

    store_id: str
    webhook: Webhook
    received_at: datetime
    policy: Policy
    via: str = "webhook"
    key_id: str = ""
    sealed: bytes | None = field(default=None, repr=False)
    evidence: Evidence | None = None
    session_hash: str | None = None
    email_hash: str | None = None
    erased_emails: tuple[str, ...] = ()  # every keyed hash of the address of whoever is to be forgotten
    key_hashes: tuple[str, ...] = ()
    addressees: tuple[Addressee, ...] = ()
    trace: str | None = None
    may_fetch: bool = False

    @property
    def order_key(self) -> tuple[str, str]:
        """The key of the order's row."""
        return self.store_id, self.webhook.order_id or ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What became of one webhook."""

    status: str
    deliveries: int = 0


def stream_of(item: Intake) -> str:
    """Return the stream whose deliveries go in order: of what the webhook is about, which its consent follows."""
    webhook = item.webhook
    kind = webhook.topic.partition(".")[0].partition("/")[0]
    if kind.startswith("subscription"):
        return f"subscription:{webhook.resource_id}"
    if kind.startswith("customer"):
        return f"customer:{webhook.customer_id or webhook.resource_id}"
    return f"order:{webhook.order_id or webhook.resource_id}"

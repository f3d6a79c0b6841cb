"""Deliveries: their states, attempts and outcomes."""

from dataclasses import dataclass, field
from enum import StrEnum

from gateway.model.consent import Category


class DeliveryState(StrEnum):
    """Where one delivery stands."""

    HELD = "held"  # waits for an answer
    DUE = "due"  # may go as soon as it is the head of its stream
    SENDING = "sending"  # claimed under a lease
    DELIVERED = "delivered"
    SUPPRESSED = "suppressed"  # decided not to send
    EXPIRED = "expired"  # its time to live ran out
    CANCELLED = "cancelled"  # withdrawn, erased, or its destination removed
    FAILED = "failed"  # retries used up, or refused for good
    LEAK = "leak"  # the egress proof found a denied value; never sent as it was


OPEN_STATES = (DeliveryState.HELD, DeliveryState.DUE, DeliveryState.SENDING)


class DeliveryKind(StrEnum):
    """Which rules decide a delivery."""

    ORDER = "order"  # a store's webhook
    EVENT = "event"  # a session event
    RENEWAL = "renewal"  # a renewal that the shop scheduled itself


class OutcomeKind(StrEnum):
    """What one attempt came to."""

    DELIVERED = "delivered"
    RETRY = "retry"
    REFUSED = "refused"  # stops for good


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The result of one attempt; `word` names the cause, e.g. `ok`, `http_503`, `connect_timeout`, `private_address`.

    `gone` is a 410: the destination wants nothing any more and is paused.
    """

    kind: OutcomeKind
    word: str
    status_code: int | None = None
    retry_after_seconds: float | None = None
    gone: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """Where deliveries go, as the settings describe it. `stores` empty means every store."""

    destination_id: str
    kind: str
    url: str = field(repr=False)
    purposes: tuple[Category, ...]
    stores: tuple[str, ...] = ()
    topics: tuple[str, ...] = ("orders",)
    secret: str = field(default="", repr=False)
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    def takes_store(self, store_id: str) -> bool:
        """Whether deliveries of this store go here."""
        return not self.stores or store_id in self.stores


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """What a destination kind turns into a request: the redacted payload or, in mode off, the store's bytes."""

    webhook_id: str
    store_id: str
    topic: str
    attempt: int
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboundRequest:
    """One HTTP request, ready to send."""

    method: str
    url: str = field(repr=False)
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """What was answered: at most the first `body` bytes that the door lets in.

    `broken` is the word for what kept the body from being read, "" when it was; the status stands all the same.
    """

    status_code: int
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    body: bytes = field(repr=False)
    broken: str = ""

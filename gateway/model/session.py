"""Sessions, what their sources said, and the events that wait in them."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from gateway.model.consent import GATING, Basis, Category, Choice, Choices, Source


class SessionState(StrEnum):
    """State of one category of a session."""

    UNKNOWN = "unknown"  # nothing was heard
    PENDING = "pending"  # a banner was shown
    GRANTED = "granted"
    DENIED = "denied"

    @property
    def choice(self) -> Choice:
        """The state as an answer; what is not answered is unknown."""
        return {SessionState.GRANTED: Choice.GRANTED, SessionState.DENIED: Choice.DENIED}.get(self, Choice.UNKNOWN)


_STRICTEST_FIRST = (SessionState.DENIED, SessionState.GRANTED, SessionState.PENDING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What one source said last of a session or a customer; `seq` and `captured_at` are its own, where it gave them."""

    source: Source = Source.CLIENT
    states: Mapping[Category, SessionState] = field(default_factory=dict)
    choices: Choices = field(default_factory=Choices)
    seq: int | None = None
    gpc: bool = False
    basis: Basis = Basis.EXPLICIT
    captured_at: datetime | None = None
    received_at: datetime

    def state(self, category: Category) -> SessionState:
        """Return what it said of a gating `category`."""
        return self.states.get(category, SessionState.UNKNOWN)

    @property
    def given_at(self) -> datetime:
        """When it was said: by its own clock where it gave a time, else by ours."""
        return self.captured_at or self.received_at


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionConsent:
    """What all sources said of one session, or of one customer; sources that disagree count by the strictest."""

    by_source: Mapping[str, Said] = field(default_factory=dict)

    def state(self, category: Category) -> SessionState:
        """Return the state of a gating `category`: an answer beats none, a denial beats a grant."""
        said = {one.state(category) for one in self.by_source.values()}
        return next((state for state in _STRICTEST_FIRST if state in said), SessionState.UNKNOWN)

    @property
    def states(self) -> dict[Category, SessionState]:
        """The state of every gating category."""
        return {category: self.state(category) for category in GATING}

    @property
    def choices(self) -> Choices:
        """What was said of every category; the gating ones are as their states."""
        combined = Choices()
        for one in self.by_source.values():
            combined = combined.strictest_with(one.choices)
        return replace(combined, **{category.value: self.state(category).choice for category in GATING})

    @property
    def gpc(self) -> bool:
        """Whether a browser objected by Global Privacy Control."""
        return any(one.gpc for one in self.by_source.values())

    @property
    def is_answered(self) -> bool:
        """Whether any gating category has an answer."""
        return any(state.choice is not Choice.UNKNOWN for state in self.states.values())

    @property
    def is_pending(self) -> bool:
        """Whether a banner was shown and nothing was answered."""
        return not self.is_answered and SessionState.PENDING in self.states.values()

    @property
    def given_at(self) -> datetime | None:
        """When its grants were given, the oldest of them; without any, when anything was heard last."""
        granting = [one.given_at for one in self.by_source.values() if SessionState.GRANTED in one.states.values()]
        return min(granting, default=self.last.given_at if self.last else None)

    @property
    def last(self) -> Said | None:
        """What was heard last."""
        return max(self.by_source.values(), key=lambda one: one.received_at, default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One session event as a server sent it; `payload` is the object as it came in.

    `email` is the address that it is about, or the SHA-256 of one in hex.
    """

    event: str
    event_id: str
    event_time: datetime | None = None
    session_id: str | None = field(default=None, repr=False)
    customer_id: str | None = None
    email: str | None = field(default=None, repr=False)
    payload: dict[str, object] = field(default_factory=dict, repr=False)


# Events that tell of an order, for shops that want no others.
ORDER_EVENTS = frozenset(
    {
        "purchase",
        "order_paid",
        "order_processing",
        "order_completed",
        "order_refunded",
        "refund",
        "order_cancelled",
        "subscription_started",
        "subscription_renewed",
        "subscription_cancelled",
        "subscription_expired",
        "subscription_reactivated",
    }
)


class Verdict(StrEnum):
    """What was done with one event at intake."""

    QUEUED = "queued"  # waits for an answer
    ACCEPTED = "accepted"  # may go to at least one destination
    DISCARDED = "discarded"  # denied for all
    DUPLICATE = "duplicate"
    INVALID = "invalid"

"""Policies and the decisions that they lead to."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from gateway.model.consent import Basis, Category, Choice, Choices, Lowering, Source, Status
from gateway.model.order import Origin


class Mode(StrEnum):
    """What a store wants done with what is not consented to."""

    OFF = "off"
    SUPPRESS = "suppress"
    ANONYMIZE = "anonymize"


class UnknownRule(StrEnum):
    """What counts where there is no record at all."""

    ALLOW = "allow"
    DENY = "deny"


class SessionRule(StrEnum):
    """Whether session events are gated or refused."""

    GATE = "gate"
    REFUSE = "refuse"


class RenewalRule(StrEnum):
    """Whose consent a renewal follows."""

    INHERIT = "inherit"
    LATEST = "latest"
    UNKNOWN = "unknown"


class Keep(StrEnum):
    """Whether something is kept when all is granted, or dropped all the same."""

    KEEP = "keep"
    DROP = "drop"


class GpcRule(StrEnum):
    """Whether GPC outweighs an explicit grant always, or only under an opt-out regime."""

    ALWAYS = "always"
    REGIME = "regime"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """One version of a store's policy. Durations carry their unit in the name."""

    version: int = 0
    mode: Mode = Mode.OFF
    unknown: UnknownRule = UnknownRule.ALLOW
    unknown_by_origin: Mapping[Origin, UnknownRule] = field(default_factory=dict)
    hold_seconds: int = 60
    event_ttl_seconds: int = 90
    consent_max_age_days: int = 0
    session_events: SessionRule = SessionRule.GATE
    renewals: RenewalRule = RenewalRule.INHERIT
    renewal_identifiers: Keep = Keep.DROP
    secrets: Keep = Keep.KEEP
    gpc: GpcRule = GpcRule.ALWAYS

    def unknown_for(self, origin: Origin) -> UnknownRule:
        """Return the unknown rule for orders of `origin`."""
        return self.unknown_by_origin.get(origin, self.unknown)


class Action(StrEnum):
    """What is done with one delivery."""

    SEND_AS_IS = "send_as_is"
    SEND_REDACTED = "send_redacted"
    HOLD = "hold"
    SUPPRESS = "suppress"


class Reason(StrEnum):
    """Why; the words are stored with the decision and read by operators."""

    MODE_OFF = "mode_off"
    ALL_GRANTED = "all_granted"
    SOME_DENIED = "some_denied"
    NOT_SERVED = "not_served"  # an identifier's category is granted, but this destination does not serve it
    ALL_PURPOSES_DENIED = "all_purposes_denied"
    UNKNOWN_ALLOWED = "unknown_allowed"
    UNKNOWN_DENIED = "unknown_denied"
    IDENTITY_REQUIRED = "identity_required"
    STALE_IDENTIFIERS = "stale_identifiers"  # a renewal's click ids, cookies, IP and user agent are its parent's
    AWAITING_ANSWER = "awaiting_answer"
    EXPIRED = "expired"
    EVENTS_REFUSED = "events_refused"  # the shop wants no events but those of orders
    SECRETS_DROPPED = "secrets_dropped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Strip:
    """Which identifiers of a body go.

    `either` stands for identifiers that both categories could use; `stale` for a renewal's click ids, cookies, IP
    and user agent (their values are its parent's); `secrets` for order keys, status and payment URLs and tokens
    when nothing else is stripped.
    """

    marketing: bool = False
    analytics: bool = False
    either: bool = False
    stale: bool = False
    secrets: bool = False

    @property
    def is_any(self) -> bool:
        """Whether the body must be rebuilt from what is allowed (secrets alone do not ask for that)."""
        return self.marketing or self.analytics or self.either or self.stale

    def union(self, other: "Strip") -> "Strip":
        """Strip what either of the two strips."""
        return Strip(
            marketing=self.marketing or other.marketing,
            analytics=self.analytics or other.analytics,
            either=self.either or other.either,
            stale=self.stale or other.stale,
            secrets=self.secrets or other.secrets,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Effective:
    """What is known of the consent that counts for one delivery, before the unknown rule.

    `categories` is the record at order time; `answers` what counts now per gating category: an answer that is
    missing inside a record is denied here already, `unknown` means that there is no record at all.
    `given_after` is true for a record that came after the order was frozen without one.
    """

    status: Status = Status.UNKNOWN
    categories: Choices = field(default_factory=Choices)
    answers: Mapping[Category, Choice] = field(default_factory=dict)
    lowered: tuple[Lowering, ...] = ()
    source: Source | None = None
    captured_at: datetime | None = None
    basis: Basis = Basis.NONE
    given_after: bool = False
    notes: tuple[str, ...] = ()  # e.g. `grant_too_old:marketing`, `unreadable:_gtmkit_consent`

    def answer(self, category: Category) -> Choice:
        """Return what counts now for a gating `category`; unknown without a record."""
        return self.answers.get(category, Choice.UNKNOWN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What the policy says for one delivery, and why.

    `applied` is what counts after every rule, per gating category (empty in mode off). `consent` is the object
    that goes with the body, None where none is attached. `release_at` is set for `hold`.
    """

    action: Action
    reason: Reason
    reasons: tuple[str, ...] = ()
    strip: Strip = Strip()
    applied: Mapping[Category, bool] = field(default_factory=dict)
    consent: dict[str, object] | None = None
    policy_version: int = 0
    release_at: datetime | None = None

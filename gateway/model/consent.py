"""Consent: categories, choices, signals and the consent records that they become."""

from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from enum import StrEnum


class Category(StrEnum):
    """What a shopper is asked about; `analytics` and `marketing` gate what leaves."""

    FUNCTIONAL = "functional"
    PREFERENCES = "preferences"
    ANALYTICS = "analytics"
    MARKETING = "marketing"
    SALE_OF_DATA = "sale_of_data"


GATING = (Category.ANALYTICS, Category.MARKETING)


class Choice(StrEnum):
    """A shopper's answer to one category."""

    GRANTED = "granted"
    DENIED = "denied"
    UNKNOWN = "unknown"  # no answer; never the same as granted

    @property
    def as_json(self) -> bool | None:
        """`true`, `false` or `null`, so that receivers may test it for truth."""
        return True if self is Choice.GRANTED else False if self is Choice.DENIED else None

    @classmethod
    def of_json(cls, value: object) -> "Choice":
        """Read a strict JSON choice; anything but true and false is unknown."""
        return cls.GRANTED if value is True else cls.DENIED if value is False else cls.UNKNOWN


def strictest(*choices: Choice) -> Choice:
    """Return the most restrictive answer: denied before unknown before granted."""
    for choice in (Choice.DENIED, Choice.UNKNOWN):
        if choice in choices:
            return choice
    return Choice.GRANTED if choices else Choice.UNKNOWN


@dataclass(frozen=True, slots=True)
class Choices:
    """One choice per category; values are hashable and compared by what they say."""

    functional: Choice = Choice.UNKNOWN
    preferences: Choice = Choice.UNKNOWN
    analytics: Choice = Choice.UNKNOWN
    marketing: Choice = Choice.UNKNOWN
    sale_of_data: Choice = Choice.UNKNOWN

    def of(self, category: Category) -> Choice:
        """Return the choice of `category`."""
        choice: Choice = getattr(self, category.value)
        return choice

    def with_choice(self, category: Category, choice: Choice) -> "Choices":
        """Return these choices with one replaced."""
        return replace(self, **{category.value: choice})

    def strictest_with(self, other: "Choices") -> "Choices":
        """Combine with what another source says: an answer beats none, a denial beats a grant."""
        return Choices(**{f.name: _combined(getattr(self, f.name), getattr(other, f.name)) for f in fields(self)})

    @property
    def as_json(self) -> dict[str, bool | None]:
        """What receivers read: true, false or null per category."""
        return {
            "functional": self.functional.as_json,
            "preferences": self.preferences.as_json,
            "analytics": self.analytics.as_json,
            "marketing": self.marketing.as_json,
            "sale_of_data": self.sale_of_data.as_json,
        }

    @classmethod
    def of_json(cls, value: dict[str, object]) -> "Choices":
        """Read what `as_json` wrote."""
        return cls(
            functional=Choice.of_json(value.get("functional")),
            preferences=Choice.of_json(value.get("preferences")),
            analytics=Choice.of_json(value.get("analytics")),
            marketing=Choice.of_json(value.get("marketing")),
            sale_of_data=Choice.of_json(value.get("sale_of_data")),
        )


def _combined(one: Choice, other: Choice) -> Choice:
    known = [choice for choice in (one, other) if choice is not Choice.UNKNOWN]
    return strictest(*known) if known else Choice.UNKNOWN


class Basis(StrEnum):
    """Why a choice counts."""

    EXPLICIT = "explicit"  # the shopper clicked
    IMPLIED = "implied"  # the shop's consent platform implied it
    OPT_OUT_DEFAULT = "opt_out_default"  # an opt-out regime: granted until refused
    GPC = "gpc"  # the browser's Global Privacy Control
    INHERITED = "inherited"  # a renewal: the record of the order that began it
    NONE = "none"  # no record


class Source(StrEnum):
    """Where a signal was captured."""

    CLIENT = "client"
    SERVER = "server"


class SignalState(StrEnum):
    """Whether the shopper has answered the banner."""

    PENDING = "pending"  # seen, not answered
    ANSWERED = "answered"


class Status(StrEnum):
    """What is known of an order's consent, as destinations read it."""

    RECORDED = "recorded"
    UNANSWERED = "unanswered"
    INHERITED = "inherited"
    UNKNOWN = "unknown"


class Channel(StrEnum):
    """Which door a signal came in by."""

    ORDER = "order"  # the order's own metadata
    BROWSER = "browser"
    SERVER = "server"
    WITHDRAWAL = "withdrawal"


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What a signal says about consent, whoever it speaks for.

    `entry` names where it stood (`_consent_gateway`, `_gtmkit_consent`, `browser`, ...); `note` says what was
    wrong with it (an entry that cannot be read counts as denied); `captured_at` is the time its writer gave.
    """

    choices: Choices = Choices()
    state: SignalState = SignalState.ANSWERED
    source: Source = Source.CLIENT
    basis: Basis = Basis.EXPLICIT
    captured_at: datetime | None = None
    gpc: bool = False
    cmp: str = ""
    session_id: str | None = field(default=None, repr=False)
    entry: str = ""
    region: str = ""
    note: str = ""
    unreadable: bool = False
    before_gpc: Choices | None = None  # what was answered before GPC was applied, for shops where it may not count


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Whom a signal speaks for; only what is named is affected."""

    session_id: str | None = field(default=None, repr=False)
    order_id: str | None = None
    order_key: str | None = field(default=None, repr=False)
    checkout_token: str | None = field(default=None, repr=False)
    customer_id: str | None = None
    email: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """One statement about a shopper's consent: whom it speaks for, and what it says."""

    subject: Subject
    evidence: Evidence
    channel: Channel
    seq: int | None = None
    raw: dict[str, object] = field(default_factory=dict, repr=False)  # tc, gpp, gcs, ... kept encrypted


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderConsent:
    """What the gateway holds on one order's consent.

    `frozen_at` may lie in the future: until then an answer is awaited. `given_after` marks a record that came
    after the order was frozen without one. `placed_at` is the store's own time of the order.
    """

    recorded: Evidence | None = None
    record_id: int | None = None
    recorded_at: datetime | None = None
    frozen_at: datetime
    given_after: bool = False
    placed_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lowering:
    """Something that came after an order was frozen and takes back what was granted.

    `by` is `withdrawal`, `gpc`, `denial`, `erasure` or `order` (a denial recorded on another order of that customer).
    """

    category: Category
    by: str
    at: datetime

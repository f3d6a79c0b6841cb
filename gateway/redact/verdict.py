"""What can be known of one value: its kind, what must be granted for it to leave, and how the proof looks for it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

from gateway.model.decision import Strip


class Need(StrEnum):
    """What must be granted for a value to leave."""

    __hash__ = str.__hash__  # looked up for every value of every payload

    NONE = "none"
    MARKETING = "marketing"
    ANALYTICS = "analytics"
    EITHER = "either"  # whatever the destination serves
    BOTH = "both"  # several identifiers that cannot be told apart
    NEVER = "never"  # goes whenever anything goes


class Kind(StrEnum):
    """What a value is."""

    __hash__ = str.__hash__  # looked up for every value of every payload

    EMAIL = "email"
    PHONE = "phone"
    NAME = "name"
    ADDRESS = "address"
    PLACE = "place"  # city, postcode
    BIRTH = "birth"
    TAX_ID = "tax_id"
    PERSON_ID = "person_id"  # the same person wherever they are
    DEVICE_ID = "device_id"  # the same browser, device or session
    CLIENT_ID = "client_id"  # an analytics tool's name for a browser
    COOKIE = "cookie"
    CLICK_ID = "click_id"
    LINKER = "linker"
    PERSON_PARAM = "person_param"  # a mail tool's name for a recipient
    CAMPAIGN = "campaign"
    AFFILIATE = "affiliate"
    SEARCH_PARAM = "search_param"
    APP = "app"  # a tracking app's bundle
    IP = "ip"
    USER_AGENT = "user_agent"
    DEVICE = "device"  # language, screen size
    UUID = "uuid"
    HASH = "hash"
    OPAQUE = "opaque"  # random-looking
    BEARER = "bearer"  # opens pages or accounts for whoever shows it
    PAYMENT = "payment"
    CONSENT_RECORD = "consent_record"
    PROFILE = "profile"  # what a person bought so far
    BEHAVIOUR = "behaviour"  # what a session did


class Search(StrEnum):
    """How the proof looks for a denied value."""

    ANYWHERE = "anywhere"  # every spelling of it, in any place
    WHOLE = "whole"  # as a whole value outside ecommerce fields
    NEVER = "never"  # cannot be told from chance: loopback addresses, the shop's own hosts


# A name of a module is found many times quicker than a member of an enum.
CLIENT_ID, EMAIL, IP, NAME, PHONE = Kind.CLIENT_ID, Kind.EMAIL, Kind.IP, Kind.NAME, Kind.PHONE
ANYWHERE, WHOLE, NEVER = Search.ANYWHERE, Search.WHOLE, Search.NEVER

CONTACT = frozenset({Kind.EMAIL, Kind.PHONE, Kind.NAME, Kind.ADDRESS, Kind.PLACE, Kind.BIRTH, Kind.TAX_ID})
WRITTEN = CONTACT - {Kind.EMAIL, Kind.PHONE}  # nothing but its length tells how it is looked for
# What a renewal does not inherit from an old browser.
UNCHANGING = CONTACT | {Kind.PERSON_ID, Kind.BEARER, Kind.PAYMENT, Kind.CONSENT_RECORD, Kind.PROFILE, Kind.BEHAVIOUR}
UNCHANGING |= {Kind.CAMPAIGN, Kind.SEARCH_PARAM}
UNSEARCHED = frozenset({Kind.PROFILE, Kind.BEHAVIOUR, Kind.DEVICE, Kind.PAYMENT, Kind.CONSENT_RECORD, Kind.CAMPAIGN})
COMMON_WORDS = frozenset(
    {"true", "false", "yes", "no", "none", "null", "undefined", "granted", "denied", "unknown", "0", "(none)"}
    | {"(not set)", "direct", "(direct)", "organic", "not provided", "not-set", "default", "customer", "guest"}
    | {"disabled", "enabled", "admin", "utm", "referral", "typein", "mobile_app", "desktop", "mobile", "tablet"}
)
# What tags and links are called by, where a plain word is a campaign's rather than a person's.
TAGS = frozenset({Kind.CLICK_ID, Kind.COOKIE, Kind.APP, Kind.AFFILIATE, Kind.SEARCH_PARAM, Kind.PERSON_PARAM})
# May stand in the words of a campaign by chance.
LOOSE = frozenset({Kind.PLACE, Kind.AFFILIATE, Kind.SEARCH_PARAM})
ANYWHERE_FROM_CHARS = 8
SHORTEST_PHONE = 7
SHORTEST_DIGEST = 22  # an MD5 in base64 without padding
FEWEST_DIGITS = 6
LONGEST_WORD = 16
MARKS = re.compile(r"\d\.|:")


class Finding(NamedTuple):
    """One identifier that was found in a value."""

    kind: Kind
    need: Need
    value: str


class Denied(NamedTuple):
    """One value that must not leave; `path` and `kind` may be shown, the value never.

    `needle` is the value as it is looked for, kept because it is looked for in several texts. With `spellings` this
    stands for all of them, and the needle is what they have in common.
    """

    path: str
    kind: str
    value: str
    search: Search = Search.ANYWHERE
    needle: str = ""
    spellings: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Denied(path={self.path!r}, kind={self.kind!r}, search={self.search!r})"


@dataclass(frozen=True, slots=True)
class Gate:
    """Tells for one strip what goes."""

    needs: frozenset[Need]
    is_stale: bool

    @staticmethod
    @lru_cache(maxsize=32)
    def of(strip: Strip) -> "Gate":
        """Read a strip once for all payloads."""
        goes = {Need.NEVER: True, Need.MARKETING: strip.marketing, Need.ANALYTICS: strip.analytics}
        goes[Need.EITHER] = strip.either
        goes[Need.BOTH] = strip.marketing or strip.analytics or strip.either
        return Gate(frozenset(need for need, is_denied in goes.items() if is_denied), strip.stale)

    def denies(self, need: Need, kind: Kind) -> bool:
        """Whether a value of this kind and need goes."""
        return need in self.needs or (self.is_stale and need is not Need.NONE and kind not in UNCHANGING)

    def denied(self, found: Sequence[Finding]) -> list[Finding]:
        """Return those findings that go."""
        return [one for one in found if self.denies(one.need, one.kind)]


def search_of(kind: Kind, value: str) -> Search:
    """Return how the proof looks for a value; short ones only as whole values."""
    if kind in UNSEARCHED or value.casefold() in COMMON_WORDS:
        return NEVER
    if kind in WRITTEN:
        return ANYWHERE if len(value) >= ANYWHERE_FROM_CHARS else WHOLE
    if kind in TAGS and len(value) <= LONGEST_WORD and value.isalpha() and value.islower():
        return WHOLE
    is_long = _is_number(value) if kind is PHONE else len(value) >= ANYWHERE_FROM_CHARS
    if kind is CLIENT_ID and len(value) <= LONGEST_WORD and sum(map(str.isdigit, value)) < FEWEST_DIGITS:
        return WHOLE  # `?cid=EM-2026-NOV` is a campaign
    # Under a key like `email_sent` there may be no more than a flag.
    return ANYWHERE if is_long or _is_itself(kind, value) else WHOLE


def _is_itself(kind: Kind, value: str) -> bool:
    """Whether a short value looks like what its key says that it is."""
    if kind is EMAIL:
        return "@" in value or "%" in value
    return kind is IP and bool(MARKS.search(value))


def _is_number(phone: str) -> bool:
    """Whether a phone's value is a number or its digest; under `phone_model` it is `iPhone 15 Pro`."""
    return sum(map(str.isdigit, phone)) >= SHORTEST_PHONE or (len(phone) >= SHORTEST_DIGEST and " " not in phone)

"""The egress proof: no denied value is in the bytes that are about to leave."""

import re
from collections.abc import Iterator, Sequence
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import orjson

from gateway.redact.shapes import Field, Table, tables
from gateway.redact.spellings import NOT_DIGIT, SHORTEST_PHONE, Reading, folded, wanted_needle
from gateway.redact.verdict import CONTACT, LOOSE, NEVER, WHOLE, Denied, Kind

# Names, places and numbers are words that an order may use for something else; a hit is looked at where it stands.
AMBIGUOUS = frozenset({Kind.NAME, Kind.PLACE, Kind.BIRTH, Kind.AFFILIATE, Kind.SEARCH_PARAM})
PERSONS = frozenset(
    {"customer", "user_data", "user", "billing", "billing_address", "shipping_address", "default_address", "addresses"}
    | {"destination", "client_details", "profile", "address"}
)
PERSON_KEYS = frozenset({"customer_id", "user_id", "external_id", "customerid", "client_id", "uid", "profile_id"})
ORDER_NUMBER = re.compile(r"[A-Za-z]{0,8}[\-_#/]?(?:\d{2,4}[\-_/])?\d{1,10}")
NUMBER_KEY = re.compile(r"(?:^|_)(?:id|number)$")
TOKEN = re.compile(r"[a-z0-9_\-]+")
PLATFORM_NUMBER = re.compile(r"[\w:/#\-]+", re.ASCII)
PLAIN_WORDS = re.compile(r"[^\W\d_]+(?:[ _\-][^\W\d_]+)*")
REPLACED = "\ufffd"  # stands for bytes that are no text
OUR_OWN = frozenset({"consent", "consent_state", "x-ga-gcs"})
GEO = frozenset({"country", "country_code", "country_name", "province", "province_code", "state", "region"})
VENDOR_KEYS = frozenset(
    {
        "action_source",
        "event_source_url",
        "data_processing_options",
        "delivery_category",
        "custom_data",
        "engagement_time_msec",
    }
    | {"timestamp_micros", "non_personalized_ads", "value_currency", "event_time", "event_id", "num_items", "$event_id"}
)


class Leaf(NamedTuple):
    """One scalar of the outgoing JSON, with the keys that lead to it."""

    path: tuple[str, ...]
    text: str


def prove(outbound: bytes, denied: Sequence[Denied]) -> tuple[str, ...]:
    """Return the names of denied values that are in `outbound`, in any spelling; empty means proven."""
    wanted = [value for value in denied if value.search is not NEVER]
    if not wanted:
        return ()
    output = _Output(outbound)
    return tuple(sorted({value.path for value in output.suspects(wanted) if output.leaks(value)}))


def is_free_of(outbound: bytes, denied: Sequence[Denied]) -> bool:
    """Whether no denied value is in `outbound` in any spelling, not even where it may stand by chance."""
    wanted = [value for value in denied if value.search is not NEVER]
    output = _Output(outbound)
    return not any(map(output.holds, output.suspects(wanted)))


class _Output:
    """What is about to leave, read once for all values."""

    def __init__(self, outbound: bytes) -> None:
        self._outbound = outbound
        self._text = outbound.decode("utf-8", "replace")
        is_whole = REPLACED not in self._text
        self._reading = Reading(self._text, outbound if is_whole else None)

    def suspects(self, wanted: Sequence[Denied]) -> Sequence[Denied]:
        return self._reading.suspects(wanted)

    def holds(self, denied: Denied) -> bool:
        return self.leaks(denied) if denied.search is WHOLE else self._reading.holds(denied)

    def leaks(self, denied: Denied) -> bool:
        if denied.search is WHOLE:
            return self._reading.holds_digest(denied) or self._has_whole(denied)
        if not self._reading.holds(denied):
            return False
        if self._reading.holds_digest(denied):
            return True
        if not _is_ambiguous(denied):
            return not self._is_by_chance(denied)
        return any(_holds(leaf, denied) for leaf in self._leaves) or self._is_key(denied)

    def _is_by_chance(self, denied: Denied) -> bool:
        """Whether a phone's digits, or what a tag calls the order by, are found in nothing but the order's numbers."""
        if denied.kind != Kind.PHONE and (denied.kind in CONTACT or not ORDER_NUMBER.fullmatch(denied.value)):
            return False
        holding = [leaf for leaf in self._leaves if Reading(leaf.text).holds(denied)]
        return bool(holding) and all(_is_another_number(leaf, denied) for leaf in holding) and not self._is_key(denied)

    def _has_whole(self, denied: Denied) -> bool:
        needle = wanted_needle(denied)
        if not needle or not self._reading.may_be_whole(needle) or needle not in self._wholes:
            return False
        return any(_is_whole(leaf, needle) for leaf in self._leaves)

    def _is_key(self, denied: Denied) -> bool:
        """Whether the value is an object's key; a plain word of a field name proves nothing."""
        return any(Reading(key).holds(denied) for key in self._keys if not key.isidentifier())

    @cached_property
    def _leaves(self) -> list[Leaf]:
        try:
            value = orjson.loads(self._outbound)
        except orjson.JSONDecodeError:
            return [Leaf((), self._text)]
        leaves: list[Leaf] = []
        _gather(leaves, (), value)
        return leaves

    @cached_property
    def _wholes(self) -> set[str]:
        return {folded(leaf.text.strip()) for leaf in self._leaves}.union(self._reading.decoded)

    @cached_property
    def _keys(self) -> set[str]:
        return {key for leaf in self._leaves for key in leaf.path}


def _is_ambiguous(denied: Denied) -> bool:
    value = denied.value.strip()
    return denied.kind in AMBIGUOUS or value.isdigit() or bool(PLAIN_WORDS.fullmatch(value))


def _gather(leaves: list[Leaf], path: tuple[str, ...], value: Any) -> None:
    """Add every scalar of `value`; one in an entry of metadata stands under the entry's own key."""
    if isinstance(value, dict):
        named = value.get("key", value.get("name")) if "value" in value else None
        for key, item in value.items():
            _gather(leaves, (*path, named if key == "value" and isinstance(named, str) else key), item)
    elif isinstance(value, list):
        for item in value:
            _gather(leaves, path, item)
    elif value is not None and not isinstance(value, bool):
        leaves.append(Leaf(path, str(value)))


def _holds(leaf: Leaf, denied: Denied) -> bool:
    if _is_own(leaf) or (leaf.path[-1:] in GEO_PATHS and not _is_full_name(denied)):  # shoppers may type the state
        return False
    # The platform's words may be anybody's name, but not a whole name, or in another spelling: `flat_rate`.
    if _is_order_word(leaf) and not _is_person(leaf) and (TOKEN.fullmatch(leaf.text) or not _is_full_name(denied)):
        return False
    if denied.kind in LOOSE and _is_attribution(leaf):
        return False
    return Reading(leaf.text).holds(denied)


def _is_full_name(denied: Denied) -> bool:
    return denied.kind == Kind.NAME and " " in denied.value.strip()


def _is_whole(leaf: Leaf, needle: str) -> bool:
    if _is_own(leaf) or _is_attribution(leaf) or leaf.path[-1:] in GEO_PATHS:
        return False
    if not _is_person(leaf) and (_is_order_word(leaf) or _is_order_text(leaf) or needle.isdigit()):
        return False
    text = folded(leaf.text.strip())
    return text == needle or (len(text) > len(needle) and needle in Reading(leaf.text).decoded)


def _is_another_number(leaf: Leaf, denied: Denied) -> bool:
    """Whether a leaf is a number of the order's that only ends like a phone's, or that a tag is called by."""
    is_number = leaf.path == ("name",) or (_is_order_word(leaf) and NUMBER_KEY.search(leaf.path[-1]))
    if not is_number or _is_person(leaf) or not PLATFORM_NUMBER.fullmatch(leaf.text):
        return False
    if denied.kind != Kind.PHONE:
        return True
    number, phone = NOT_DIGIT.sub("", leaf.text), NOT_DIGIT.sub("", denied.value)
    return number != phone and phone[-SHORTEST_PHONE:] in number  # or it is there in another spelling


def _is_own(leaf: Leaf) -> bool:
    return bool(leaf.path) and leaf.path[0] in OUR_OWN


def _is_person(leaf: Leaf) -> bool:
    return not PERSONS.isdisjoint(leaf.path[:-1]) or leaf.path[-1:] in PERSON_PATHS


def _is_attribution(leaf: Leaf) -> bool:
    name = leaf.path[-1] if leaf.path else ""
    return "utm" in name or leaf.text.startswith(("http://", "https://", "/"))


def _is_order_word(leaf: Leaf) -> bool:
    return bool(leaf.path) and (leaf.path[-1] in order_words() or leaf.path[-1] in VENDOR_KEYS)


def _is_order_text(leaf: Leaf) -> bool:
    return bool(leaf.path) and leaf.path[-1] in order_texts()


GEO_PATHS = frozenset((key,) for key in GEO)
PERSON_PATHS = frozenset((key,) for key in PERSON_KEYS)


@lru_cache(maxsize=1)
def order_words() -> frozenset[str]:
    """Return the keys whose values the platform writes: amounts, ids, dates, states."""
    return _keys_of(frozenset({Field.KEEP})) - {"name"}


@lru_cache(maxsize=1)
def order_texts() -> frozenset[str]:
    """Return the keys whose values are words of the shop: items, titles, codes."""
    return _keys_of(frozenset({Field.TEXT, Field.ITEM_TEXT, Field.PAYMENT_TITLE, Field.IMAGE}))


def _keys_of(classes: frozenset[Field]) -> frozenset[str]:
    return frozenset(key for table in tables().values() for key in _keys_in(table, classes))


def _keys_in(table: Table, classes: frozenset[Field]) -> Iterator[str]:
    for key, rule in table.fields.items():
        if isinstance(rule, Table):
            yield from _keys_in(rule, classes)
        elif rule in classes:
            yield key

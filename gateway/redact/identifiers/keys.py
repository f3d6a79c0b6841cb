"""Key rules: what the name of a field, an attribute, a cookie or a query parameter says of its value."""

import json
import re
from collections.abc import Iterator
from enum import StrEnum
from functools import lru_cache
from importlib.resources import files
from typing import NamedTuple

from gateway.redact.verdict import Kind, Need

SEPARATORS = re.compile(r"[_\-.\s\[\]:/]+")
HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
SUFFIX_FROM_CHARS = 3
LONGEST_NAME_CHARS = 128  # of a longer one the end is read: a prefix is put aside anyway
# Words that mean nothing at the end of a longer name: `_shipping_hash`, `pickup_key`.
NEVER_SUFFIX = frozenset({"key", "hash", "sig", "signature", "secret", "auth", "nonce", "token", "age", "location"})


class Use(StrEnum):
    """What a known key is there for."""

    IDENTIFIER = "identifier"
    UTM = "utm"  # campaign words: stay unless the value is itself an identifier
    PLAIN = "plain"  # about the order, not about a person
    URL = "url"  # taken apart
    COMPOSITE = "composite"  # several known things in one value


class KeyVerdict(NamedTuple):
    """What a key says of its value."""

    use: Use
    kind: Kind
    need: Need


class _Catalogue(NamedTuple):
    names: dict[str, KeyVerdict]
    squashed: dict[str, KeyVerdict]
    query_names: dict[str, KeyVerdict]
    patterns: tuple[tuple[re.Pattern[str], KeyVerdict], ...]
    query_patterns: tuple[tuple[re.Pattern[str], KeyVerdict], ...]
    app_patterns: tuple[tuple[re.Pattern[str], KeyVerdict], ...]
    payment_patterns: tuple[tuple[re.Pattern[str], KeyVerdict], ...]
    things: tuple[re.Pattern[str], ...]  # names of what is nobody


def judge_key(name: str, *, in_query: bool = False) -> KeyVerdict | None:
    """Return what the catalogue says of `name`, an app's prefix put aside; None for a key nobody knows."""
    return _judged(name if len(name) <= LONGEST_NAME_CHARS else name[-LONGEST_NAME_CHARS:], in_query)


@lru_cache(maxsize=8192)
def _judged(name: str, in_query: bool) -> KeyVerdict | None:
    catalogue = _catalogue()
    candidates = list(_candidates(name))
    # What a way to pay writes stays its own, whatever it ends in: `_stripe_customer_id`.
    payment = _first_match(catalogue.payment_patterns, candidates[0]) if candidates else None
    if payment:
        return payment
    if candidates and any(thing.search(candidates[0]) for thing in catalogue.things):
        return None
    for look_up in (_by_name, _by_pattern):
        for candidate in candidates:
            verdict = look_up(catalogue, candidate, in_query=in_query)
            if verdict:
                return verdict
    whole = candidates[0] if candidates else ""
    return _first_match(catalogue.app_patterns, whole)


def is_stamp(name: str) -> bool:
    """Whether a key says that an event was sent already: on a renewal that is said of its parent."""
    return bool(STAMP.search(name.strip().lower()))


def is_page_opener(name: str) -> bool:
    """Whether a key holds what opens a shopper's pages: an order key, a token, a status or payment URL."""
    return bool(PAGE_OPENER.search(name.strip().lower()))


STAMP = re.compile(r"(^|_)(tracked|event_fired|purchase_sent|conversion_pixel_fired|capi_purchase_hit)(_|$)")
PAGE_OPENER = re.compile(
    r"^_?(order_key|payment_url|(order_)?status_url|recover(y)?_url|abandoned_checkout_url|token|"
    r"(order|cart|checkout|access|recovery|session|login|reset)[-_]?token)$"
)


def _by_name(catalogue: _Catalogue, name: str, *, in_query: bool) -> KeyVerdict | None:
    verdict = catalogue.names.get(name) or (catalogue.query_names.get(name) if in_query else None)
    return verdict or catalogue.squashed.get(SEPARATORS.sub("", name))


def _by_pattern(catalogue: _Catalogue, name: str, *, in_query: bool) -> KeyVerdict | None:
    verdict = _first_match(catalogue.query_patterns, name) if in_query else None
    return verdict or _first_match(catalogue.patterns, name)


def _first_match(patterns: tuple[tuple[re.Pattern[str], KeyVerdict], ...], name: str) -> KeyVerdict | None:
    return next((verdict for pattern, verdict in patterns if pattern.search(name)), None)


def _candidates(name: str) -> Iterator[str]:
    """The name, then without what stands before each separator: `_elevar__ga`, `elevar__ga`, `_ga`, `ga`."""
    spaced = HUMP.sub("_", name.strip())
    lowered = name.strip().lower()
    yield lowered
    snake = spaced.lower().strip("[]")
    if snake != lowered:
        yield snake
    for match in SEPARATORS.finditer(snake):
        rest = snake[match.end() :]
        if rest in NEVER_SUFFIX:
            continue
        forms = (rest, "_" + rest) if len(match[0]) == 1 else ("_" + rest, rest)
        yield from (form for form in forms if len(form) >= SUFFIX_FROM_CHARS)


@lru_cache(maxsize=1)
def _catalogue() -> _Catalogue:
    data = json.loads(files("gateway.redact.identifiers").joinpath("catalogue.json").read_text("utf-8"))
    names: dict[str, KeyVerdict] = {}
    for use, keys in data["kept"].items():
        names.update({key: KeyVerdict(Use(use), Kind.CAMPAIGN, Need.NONE) for key in keys})
    query_names: dict[str, KeyVerdict] = {}
    patterns: list[tuple[re.Pattern[str], KeyVerdict]] = []
    query_patterns: list[tuple[re.Pattern[str], KeyVerdict]] = []
    app_patterns: list[tuple[re.Pattern[str], KeyVerdict]] = []
    for rule in data["identifiers"]:
        verdict = KeyVerdict(Use.IDENTIFIER, Kind(rule["kind"]), Need(rule["consent"]))
        is_query = rule.get("where") == ["query"]
        for key in rule.get("names", ()):
            (query_names if is_query else names).setdefault(key, verdict)
        target = query_patterns if is_query else app_patterns if verdict.kind is Kind.APP else patterns
        target.extend((re.compile(pattern), verdict) for pattern in rule.get("patterns", ()))
    squashed = {SEPARATORS.sub("", key): verdict for key, verdict in reversed(names.items())}
    squashed = {key: verdict for key, verdict in squashed.items() if len(key) > SUFFIX_FROM_CHARS + 1}
    payment_patterns = tuple(one for one in patterns if one[1].kind is Kind.PAYMENT)
    things = tuple(map(re.compile, data["things"]))
    found = (tuple(patterns), tuple(query_patterns), tuple(app_patterns), payment_patterns)
    return _Catalogue(names, squashed, query_names, *found, things)

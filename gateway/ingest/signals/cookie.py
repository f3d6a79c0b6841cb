"""Consent cookies that a server can read, as a Cookie header holds them: `name=value; name=value`."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Final
from urllib.parse import parse_qs, unquote

from gateway.ingest.answers import (
    CATEGORY_NAMES,
    answers_of,
    most_restrictive,
    readable_object,
    settled,
    without_grants,
)
from gateway.ingest.fields import object_of
from gateway.ingest.gpc import with_gpc
from gateway.ingest.services import read_services
from gateway.model.consent import Basis, Category, Choice, Choices, Evidence, SignalState, strictest

_MOST_CHARS: Final = 16_384  # as much as a signal may hold
_COOKIEBOT_ANSWER: Final = re.compile(r"\b(necessary|preferences|statistics|marketing|method)['\"]?:\s*['\"]?(\w+)")
_COOKIEBOT_NAMES: Final = {**CATEGORY_NAMES, "necessary": Category.FUNCTIONAL}
_COOKIEBOT_WORDS: Final = {"true": "yes", "false": "no"}
_COOKIEYES_NAMES: Final = {
    "necessary": Category.FUNCTIONAL,
    "functional": Category.PREFERENCES,
    "analytics": Category.ANALYTICS,
    "performance": Category.ANALYTICS,
    "advertisement": Category.MARKETING,
}
# Its purposes are the same for every shop.
_IUBENDA_NAMES: Final = {
    "1": Category.FUNCTIONAL,
    "2": Category.PREFERENCES,
    "3": Category.PREFERENCES,
    "4": Category.ANALYTICS,
    "5": Category.MARKETING,
}
# Whole values that refuse all; whatever else such a cookie says is no answer to a category.
_REFUSALS: Final = {
    ("CookieConsent", "0"): "cookiebot",
    ("CookieConsent", "false"): "react-cookie-consent",
    ("cookieconsent_status", "deny"): "cookieconsent",
    ("viewed_cookie_policy", "no"): "cookie-law-info",
}
# The groups that OneTrust sets up by itself; a shop may name its own, and those are not read.
_ONETRUST_GROUPS: Final = {
    "C0001": Category.FUNCTIONAL,
    "C0002": Category.ANALYTICS,
    "C0003": Category.PREFERENCES,
    "C0004": Category.MARKETING,
    "C0005": Category.MARKETING,
}

_SALE_GROUPS: Final = ("SPD_BG", "SSPD_BG", "OSSTA_BG")  # to sell, to share, to advertise: its groups for US states

Cookies = list[tuple[str, str]]


def read_cookie(text: str, *, strings: Mapping[str, Callable[[str], Evidence]]) -> Evidence:
    """Read every known consent cookie; where they disagree the most restrictive counts.

    `strings` read those cookies that hold a consent string of their own, and these only refuse.
    """
    if len(text) > _MOST_CHARS:
        return _nothing("too long", unreadable=True)
    cookies = _cookies(text)
    found = [evidence for read in _READERS for evidence in read(cookies)]
    told = [strings[name](value) for name, value in cookies if name in strings]
    refusing = [one for one in told if one.gpc or without_grants(one.choices) != Choices()]
    if not found and not refusing:
        return _nothing("no known consent cookie")
    evidence = most_restrictive(found) if found else Evidence(state=SignalState.PENDING)
    for one in refusing:
        evidence = _refused_by(evidence, one)
    return replace(evidence, entry="cookie")


def _refused_by(evidence: Evidence, told: Evidence) -> Evidence:
    return replace(
        evidence,
        choices=evidence.choices.strictest_with(without_grants(told.choices)),
        state=SignalState.ANSWERED if told.state is SignalState.ANSWERED else evidence.state,
        gpc=evidence.gpc or told.gpc,
    )


def _cookies(text: str) -> Cookies:
    """Split a header; the same name may come twice, from two scopes, and a value may stand in quotes."""
    pairs = (pair.partition("=") for pair in text.split(";"))
    return [(name.strip(), unquote(value.strip().strip('"'), errors="replace")) for name, _, value in pairs]


def _read_refusals(cookies: Cookies) -> list[Evidence]:
    """Cookies of one word for all categories."""
    refused = Choices(analytics=Choice.DENIED, marketing=Choice.DENIED)
    return [Evidence(choices=refused, cmp=_REFUSALS[pair]) for pair in cookies if pair in _REFUSALS]


def _read_wp_consent(cookies: Cookies) -> list[Evidence]:
    """WP Consent API: `wp_consent_marketing=allow`."""
    return _read_prefixed(cookies, "wp_consent_", "wp-consent-api")


def _read_complianz(cookies: Cookies) -> list[Evidence]:
    """Complianz: `cmplz_marketing=deny`, with a site's mark in a network of sites: `cmplz_rt_marketing`."""
    names = [(f"cmplz_{name.rpartition('_')[2]}", value) for name, value in cookies if name.startswith("cmplz_")]
    return _read_prefixed(names, "cmplz_", "complianz")


def _read_prefixed(cookies: Cookies, prefix: str, cmp: str) -> list[Evidence]:
    answers = ((name.removeprefix(prefix), value) for name, value in cookies if name.startswith(prefix))
    words = _said_once((answer for answer in answers if answer[0] in CATEGORY_NAMES), refused="no")
    return [Evidence(choices=answers_of(words).choices, cmp=cmp)] if words else []


def _read_cookiebot(cookies: Cookies) -> list[Evidence]:
    """Cookiebot: an object literal in which `stamp` is always there; `-1` is no answer."""
    found = []
    for value in (value for name, value in cookies if name == "CookieConsent"):
        if "stamp" in value:
            said = _COOKIEBOT_ANSWER.findall(value)
            words = _said_once(((name, _COOKIEBOT_WORDS.get(word, word)) for name, word in said), refused="no")
            basis = Basis.EXPLICIT if words.get("method") == "explicit" else Basis.IMPLIED
            choices = answers_of(words, _COOKIEBOT_NAMES).choices
            found.append(Evidence(choices=choices, basis=basis, cmp="cookiebot"))
    return found


def _read_cookieyes(cookies: Cookies) -> list[Evidence]:
    """CookieYes: `action:yes,analytics:no`; its own `consent` word means the opposite under CCPA and is not read."""
    found = []
    for value in (value for name, value in cookies if name == "cookieyes-consent"):
        words = _said_once(_pairs(value), refused="no")
        state = SignalState.ANSWERED if words.get("action") == "yes" else SignalState.PENDING
        choices = answers_of(words, _COOKIEYES_NAMES).choices
        found.append(settled(Evidence(choices=choices, state=state, cmp="cookieyes")))
    return found


def _read_cookie_law_info(cookies: Cookies) -> list[Evidence]:
    """CookieYes as a plugin of old: a cookie per category, preset until `viewed_cookie_policy` is there."""
    prefix = "cookielawinfo-checkbox-"
    given = ((name.removeprefix(prefix), value) for name, value in cookies if name.startswith(prefix))
    words = _said_once(given, refused="no")
    is_answered = any(name == "viewed_cookie_policy" and value for name, value in cookies)
    state = SignalState.ANSWERED if is_answered else SignalState.PENDING
    choices = answers_of(words, _COOKIEYES_NAMES).choices
    return [settled(Evidence(choices=choices, state=state, cmp="cookie-law-info"))] if words else []


def _read_iubenda(cookies: Cookies) -> list[Evidence]:
    """Iubenda: `{"purposes": {"4": true, "5": false}}`, or one `consent` for all."""
    values = (value for name, value in cookies if name.startswith("_iub_cs-"))
    return [evidence for value in values if (evidence := _iubenda(value)) is not None]


def _iubenda(value: str) -> Evidence | None:
    given = readable_object(value)
    purposes = object_of(given.get("purposes"))
    if not purposes and isinstance(given.get("consent"), bool):
        purposes = dict.fromkeys(_IUBENDA_NAMES, given["consent"])
    return Evidence(choices=answers_of(purposes, _IUBENDA_NAMES).choices, cmp="iubenda") if purposes else None


def _read_onetrust(cookies: Cookies) -> list[Evidence]:
    """OneTrust: a query string; only with its second cookie, or after a click, did anybody answer."""
    is_closed = any(name == "OptanonAlertBoxClosed" and value for name, value in cookies)
    return [_onetrust(value, is_closed=is_closed) for name, value in cookies if name == "OptanonConsent"]


def _onetrust(value: str, *, is_closed: bool) -> Evidence:
    given = parse_qs(value)
    groups = _said_once(_pairs(",".join(given.get("groups", ()))), refused="0")
    choices = Choices()
    for category in dict.fromkeys(_ONETRUST_GROUPS.values()):
        answers = [_ONETRUST_WORDS.get(groups[group], Choice.UNKNOWN) for group in _groups_of(category, groups)]
        choices = choices.with_choice(category, strictest(*answers))
    if any(groups.get(group) == "0" for group in _SALE_GROUPS):
        choices = choices.with_choice(Category.MARKETING, Choice.DENIED)
        choices = choices.with_choice(Category.SALE_OF_DATA, Choice.DENIED)
    is_answered = is_closed and "true" not in given.get("AwaitingReconsent", ())
    state = SignalState.ANSWERED if is_answered else SignalState.PENDING
    evidence = settled(Evidence(choices=choices, state=state, cmp="onetrust"))
    has_gpc = "1" in (*given.get("isGpcEnabled", ()), *given.get("browserGpcFlag", ()))
    return with_gpc(evidence) if has_gpc else evidence


def _groups_of(category: Category, groups: Mapping[str, str]) -> list[str]:
    return [group for group, one in _ONETRUST_GROUPS.items() if one is category and group in groups]


def _pairs(text: str) -> Iterable[tuple[str, str]]:
    parts = (pair.partition(":") for pair in text.split(","))
    return ((name.strip(), word.strip()) for name, _, word in parts)


def _said_once(pairs: Iterable[tuple[str, str]], *, refused: str) -> dict[str, str]:
    """Return words by name; what is said twice, and differently, is `refused`."""
    said: dict[str, str] = {}
    for name, word in pairs:
        said[name] = word if said.get(name, word) == word else refused
    return said


def _nothing(note: str, *, unreadable: bool = False) -> Evidence:
    return Evidence(state=SignalState.PENDING, entry="cookie", note=note, unreadable=unreadable)


_ONETRUST_WORDS: Final = {"1": Choice.GRANTED, "0": Choice.DENIED}
_READERS: Final[tuple[Callable[[Cookies], list[Evidence]], ...]] = (
    _read_wp_consent,
    _read_complianz,
    _read_cookiebot,
    _read_cookieyes,
    _read_cookie_law_info,
    _read_iubenda,
    _read_onetrust,
    _read_refusals,
    read_services,
)

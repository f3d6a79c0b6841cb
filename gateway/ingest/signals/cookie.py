"""Consent cookies that a server can read, as a Cookie header holds them: `name=value; name=value`."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Final
from urllib.parse import parse_qs, unquote

from gateway.ingest.answers import CATEGORY_NAMES, answers_of, most_restrictive, settled
from gateway.ingest.gpc import with_gpc
from gateway.model.consent import Basis, Category, Choice, Choices, Evidence, SignalState, strictest

_MOST_CHARS: Final = 8192
_COOKIEBOT_ANSWER: Final = re.compile(r"\b(necessary|preferences|statistics|marketing|method):'?(\w+)")
_COOKIEBOT_NAMES: Final = {**CATEGORY_NAMES, "necessary": Category.FUNCTIONAL}
_COOKIEBOT_WORDS: Final = {"true": "yes", "false": "no"}
_COOKIEYES_NAMES: Final = {
    "necessary": Category.FUNCTIONAL,
    "functional": Category.PREFERENCES,
    "analytics": Category.ANALYTICS,
    "performance": Category.ANALYTICS,
    "advertisement": Category.MARKETING,
}
# The groups that OneTrust sets up by itself; a shop may name its own, and those are not read.
_ONETRUST_GROUPS: Final = {
    "C0001": Category.FUNCTIONAL,
    "C0002": Category.ANALYTICS,
    "C0003": Category.PREFERENCES,
    "C0004": Category.MARKETING,
    "C0005": Category.MARKETING,
}

Cookies = list[tuple[str, str]]


def read_cookie(text: str) -> Evidence:
    """Read every known consent cookie; where they disagree the most restrictive counts."""
    if len(text) > _MOST_CHARS:
        return _nothing("too long", unreadable=True)
    cookies = _cookies(text)
    found = [evidence for read in _READERS for evidence in read(cookies)]
    return replace(most_restrictive(found), entry="cookie") if found else _nothing("no known consent cookie")


def _cookies(text: str) -> Cookies:
    """Split a header; the same name may come twice, from two scopes."""
    pairs = (pair.partition("=") for pair in text.split(";"))
    return [(name.strip(), unquote(value.strip(), errors="replace")) for name, _, value in pairs]


def _read_wp_consent(cookies: Cookies) -> list[Evidence]:
    """WP Consent API: `wp_consent_marketing=allow`."""
    return _read_prefixed(cookies, "wp_consent_", "wp-consent-api")


def _read_complianz(cookies: Cookies) -> list[Evidence]:
    """Complianz: `cmplz_marketing=deny`."""
    return _read_prefixed(cookies, "cmplz_", "complianz")


def _read_prefixed(cookies: Cookies, prefix: str, cmp: str) -> list[Evidence]:
    answers = ((name.removeprefix(prefix), value) for name, value in cookies if name.startswith(prefix))
    words = _said_once((answer for answer in answers if answer[0] in CATEGORY_NAMES), refused="no")
    return [Evidence(choices=answers_of(words).choices, cmp=cmp)] if words else []


def _read_cookiebot(cookies: Cookies) -> list[Evidence]:
    """Cookiebot: an object literal in which `stamp` is always there; `0` was a refusal, `-1` is no answer."""
    found = []
    for value in (value for name, value in cookies if name == "CookieConsent"):
        if value == "0":
            found.append(Evidence(choices=Choices(analytics=Choice.DENIED, marketing=Choice.DENIED), cmp="cookiebot"))
        elif "stamp:" in value:
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
    is_answered = is_closed and "true" not in given.get("AwaitingReconsent", ())
    state = SignalState.ANSWERED if is_answered else SignalState.PENDING
    evidence = settled(Evidence(choices=choices, state=state, cmp="onetrust"))
    has_gpc = "1" in (*given.get("isGpcEnabled", ()), *given.get("browserGpcFlag", ()))
    return with_gpc(evidence) if has_gpc else evidence


def _groups_of(category: Category, groups: Mapping[str, str]) -> list[str]:
    return [group for group, one in _ONETRUST_GROUPS.items() if one is category and group in groups]


def _pairs(text: str) -> Iterable[tuple[str, str]]:
    parts = (pair.partition(":") for pair in text.split(","))
    return ((name, word) for name, _, word in parts)


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
    _read_onetrust,
)

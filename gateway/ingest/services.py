"""Consent cookies that tell of services, or of purposes of their own, rather than of categories.

A shop names its services as it likes. What is refused as a whole is refused, and so is what a few well-known names
say; where no name is known, nothing is granted.
"""

import binascii
import re
from base64 import urlsafe_b64decode
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from gateway.ingest.answers import readable_object, settled
from gateway.ingest.fields import object_of
from gateway.model.consent import GATING, Basis, Category, Choice, Choices, Evidence, SignalState, strictest

Cookies = Sequence[tuple[str, str]]

_NO_LETTER: Final = re.compile(r"[^a-z0-9]")
_SERVICES: Final[Mapping[str, Category]] = {
    "googleanalytics": Category.ANALYTICS,
    "googleads": Category.MARKETING,
    "facebookpixel": Category.MARKETING,
}
_DIDOMI: Final[Mapping[str, Category]] = {
    **dict.fromkeys(("create_content_profile", "select_personalized_content"), Category.PREFERENCES),
    **dict.fromkeys(
        ("measure_content_performance", "market_research", "improve_products", "analytics"), Category.ANALYTICS
    ),
    **dict.fromkeys(
        (
            "create_ads_profile",
            "select_personalized_ads",
            "select_basic_ads",
            "measure_ad_performance",
            "advertising_personalization",
            "ad_delivery",
        ),
        Category.MARKETING,
    ),
}
_STORING: Final = "cookies"  # to store anything on the device: whoever refuses that refuses all
#: The buckets that TrustArc sets up by itself, from 1.
_TRUSTARC: Final[Mapping[int, tuple[Category, ...]]] = {
    1: (Category.FUNCTIONAL,),
    2: (Category.PREFERENCES, Category.ANALYTICS),
    3: (Category.MARKETING,),
}
_BUCKETS: Final = re.compile(r"[0-9](?:,[0-9])*")
_NONE: Final = Choices(analytics=Choice.DENIED, marketing=Choice.DENIED)


def read_services(cookies: Cookies) -> list[Evidence]:
    """Read every known cookie that says anything of a gating category."""
    found = [evidence for read in _READERS for evidence in read(cookies)]
    return [one for one in found if any(one.choices.of(category) is not Choice.UNKNOWN for category in GATING)]


def _read_didomi(cookies: Cookies) -> list[Evidence]:
    """Didomi: `{"purposes": {"enabled": [...], "disabled": [...]}}` in base64; no answer stands in neither list."""
    found = []
    for token in _values(cookies, "didomi_token"):
        purposes = object_of(readable_object(_decoded(token)).get("purposes"))
        enabled, disabled = _names(purposes.get("enabled")), _names(purposes.get("disabled"))
        said = {**dict.fromkeys(enabled, Choice.GRANTED), **dict.fromkeys(disabled, Choice.DENIED)}
        choices = _NONE if _STORING in disabled else _choices((_DIDOMI.get(name), one) for name, one in said.items())
        found.append(Evidence(choices=choices, cmp="didomi"))
    return found


def _read_axeptio(cookies: Cookies) -> list[Evidence]:
    """Axeptio: a boolean for each vendor beside `$$completed`, without which nobody has answered."""
    found = []
    for value in _values(cookies, "axeptio_cookies"):
        given = readable_object(value)
        vendors = {name: said for name, said in given.items() if not name.startswith("$$")}
        state = SignalState.ANSWERED if given.get("$$completed") is True else SignalState.PENDING
        choices = _of_services(vendors) if state is SignalState.ANSWERED else Choices()
        found.append(Evidence(choices=choices, state=state, cmp="axeptio"))
    return found


def _read_klaro(cookies: Cookies) -> list[Evidence]:
    """Klaro: `{"google-analytics": false}`, written once somebody has answered."""
    return [Evidence(choices=_of_services(readable_object(value)), cmp="klaro") for value in _values(cookies, "klaro")]


def _read_trustarc(cookies: Cookies) -> list[Evidence]:
    """TrustArc: the highest level, from 0, and the buckets that were accepted; what a law implied is no answer."""
    found = [_accepted(range(1, int(level) + 2)) for level in _buckets(cookies, "notice_preferences", "")]
    for name, prefix, first in (("notice_gdpr_prefs", "", 0), ("cmapi_cookie_privacy", "permit ", 1)):
        listed = _buckets(cookies, name, prefix)
        found += [_accepted([int(one) - first + 1 for one in buckets.split(",")]) for buckets in listed]
    is_implied = any(value.startswith("implied") for value in _values(cookies, "notice_behavior"))
    state = SignalState.PENDING if is_implied else SignalState.ANSWERED
    basis = Basis.IMPLIED if is_implied else Basis.EXPLICIT
    return [settled(Evidence(choices=choices, state=state, basis=basis, cmp="trustarc")) for choices in found]


def _buckets(cookies: Cookies, name: str, prefix: str) -> list[str]:
    told = (value.removeprefix(prefix).partition(":")[0].strip() for value in _values(cookies, name))
    return [buckets for buckets in told if _BUCKETS.fullmatch(buckets)]


def _accepted(buckets: Iterable[int]) -> Choices:
    """Return what a list of accepted buckets says: what is not in it was refused."""
    accepted = {category for bucket in buckets for category in _TRUSTARC.get(bucket, ())}
    known = [category for categories in _TRUSTARC.values() for category in categories]
    return Choices(**{c.value: Choice.GRANTED if c in accepted else Choice.DENIED for c in known})


def _of_services(said: Mapping[str, object]) -> Choices:
    answers = {name: one for name, one in said.items() if isinstance(one, bool)}
    if answers and not any(answers.values()):
        return _NONE
    named = ((_SERVICES.get(_NO_LETTER.sub("", name.lower())), Choice.of_json(one)) for name, one in answers.items())
    return _choices(named)


def _choices(said: Iterable[tuple[Category | None, Choice]]) -> Choices:
    """Combine answers to what belongs to a category; of several the strictest counts."""
    choices = Choices()
    for category, choice in said:
        if category is not None:
            before = choices.of(category)
            both = choice if before is Choice.UNKNOWN else strictest(before, choice)
            choices = choices.with_choice(category, both)
    return choices


def _values(cookies: Cookies, wanted: str) -> list[str]:
    return [value for name, value in cookies if name == wanted]


def _names(value: object) -> list[str]:
    return [name for name in value if isinstance(name, str)] if isinstance(value, list) else []


def _decoded(token: str) -> str:
    plain = token.replace("+", "-").replace("/", "_").rstrip("=")
    try:
        return urlsafe_b64decode(plain + "=" * (-len(plain) % 4)).decode()
    except (binascii.Error, ValueError):
        return ""


_READERS: Final[tuple[Callable[[Cookies], list[Evidence]], ...]] = (
    _read_didomi,
    _read_axeptio,
    _read_klaro,
    _read_trustarc,
)

"""Consent snapshots that other plugins leave on an order: their shapes differ, their words are few."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from gateway.ingest.answers import (
    CATEGORY_NAMES,
    Unreadable,
    answers_of,
    basis_of,
    entry_object,
    noted,
    settled,
    unreadable,
)
from gateway.ingest.fields import instant_of, instant_of_epoch, text_of
from gateway.ingest.gpc import is_gpc, with_gpc
from gateway.model.consent import Basis, Category, Evidence, Source

# https://developers.google.com/tag-platform/security/guides/consent
AD_SIGNALS: Final = ("ad_storage", "ad_user_data", "ad_personalization")
CONSENT_MODE_NAMES: Final[Mapping[str, Category]] = {
    **dict.fromkeys(AD_SIGNALS, Category.MARKETING),
    "analytics_storage": Category.ANALYTICS,
    "personalization_storage": Category.PREFERENCES,
    "functionality_storage": Category.FUNCTIONAL,
}
_NAMES: Final = {**CATEGORY_NAMES, **CONSENT_MODE_NAMES, "necessary": Category.FUNCTIONAL}
_NESTED: Final = ("categories", "consent")
_TIMES: Final = ("captured_at", "timestamp", "time", "updated_at")


def read_snapshot(value: object, *, entry: str) -> Evidence:
    """Read categories by our names, the plugin's or Consent Mode's, at the top or under `categories` or `consent`.

    A plugin does not say that the shopper clicked, so the basis is implied unless the snapshot tells.
    """
    try:
        given = entry_object(value)
        found = _categories(given)
    except Unreadable as why:
        return unreadable(entry, str(why))
    answers = answers_of(found, _NAMES)
    evidence = Evidence(
        choices=answers.choices,
        source=Source.SERVER if given.get("source") == Source.SERVER else Source.CLIENT,
        basis=basis_of(given.get("basis") or "implied") or Basis.IMPLIED,
        captured_at=_captured_at(given),
        cmp=text_of(given.get("cmp"), most=64),
        entry=entry,
    )
    evidence = settled(noted(evidence, *answers.notes))
    return with_gpc(evidence) if is_gpc(given.get("gpc")) else evidence


def _categories(given: Mapping[str, object]) -> dict[str, object]:
    nested = [inner for key in _NESTED if isinstance(inner := given.get(key), dict)]
    found: dict[str, object] = {}
    for layer in (given, *nested):
        for name in layer.keys() & _NAMES.keys():
            found[name] = layer[name] if found.get(name, layer[name]) == layer[name] else "contradiction"
    if not found:
        raise Unreadable("no known category")
    if found.keys() & set(AD_SIGNALS):  # one that is not there is not granted
        found = {**dict.fromkeys(AD_SIGNALS), **found}
    return found


def _captured_at(given: Mapping[str, object]) -> datetime | None:
    times = (instant_of(given.get(key)) or instant_of_epoch(given.get(key)) for key in _TIMES)
    return next(filter(None, times), None)

"""Which law's default applies where: opt-in unless a place is known to be opt-out."""

import re
from enum import StrEnum
from typing import Final


class Regime(StrEnum):
    """Whether silence means no, or yes until refused."""

    OPT_IN = "opt_in"
    OPT_OUT = "opt_out"


# `DE`, `US-CA`, `USCA`, `AUNSW`: three letters are a country in another code, more are its name.
_PLACE: Final = re.compile(r"([A-Z]{2})(?:-([A-Z0-9]{1,3})|([A-Z0-9]{2,3}))?")
# Countries without a duty to ask first.
_OPT_OUT_COUNTRIES: Final = frozenset({"US", "CA", "AU", "NZ", "JP", "SG", "MX", "IN"})
# Quebec (Law 25) asks first although the rest of Canada does not, so its province must be known there.
_PROVINCES: Final = frozenset({"AB", "BC", "MB", "NB", "NL", "NS", "NT", "NU", "ON", "PE", "SK", "YT"})


def regime_of(region: str) -> Regime | None:
    """Return the regime of `DE`, `US-CA`, `USCA` or `CAON`; None for a place that is not known."""
    found = _PLACE.fullmatch(region.strip().upper().replace("_", "-"))
    if found is None:
        return None
    country, part = found[1], found[2] or found[3] or ""
    if country not in _OPT_OUT_COUNTRIES:
        return Regime.OPT_IN
    if country != "CA" or part in _PROVINCES:
        return Regime.OPT_OUT
    return Regime.OPT_IN if part == "QC" else None

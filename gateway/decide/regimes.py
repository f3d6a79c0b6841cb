"""Which law's default applies where: opt-in unless a place is known to be opt-out."""

from enum import StrEnum


class Regime(StrEnum):
    """Whether silence means no, or yes until refused."""

    OPT_IN = "opt_in"
    OPT_OUT = "opt_out"


# Countries without a duty to ask first. Quebec (Law 25) asks first although the rest of Canada does not.
_OPT_OUT_COUNTRIES = frozenset({"US", "CA", "AU", "NZ", "JP", "SG", "MX", "IN"})
_OPT_IN_REGIONS = frozenset({"CA-QC"})


def regime_of(region: str) -> Regime:
    """Return the regime of `DE`, `US-CA`, `USCA` or `CAON`; an unknown place is opt-in."""
    place = region.strip().upper().replace("_", "-")
    country, part = place[:2], place[2:].lstrip("-")
    if f"{country}-{part}" in _OPT_IN_REGIONS or country not in _OPT_OUT_COUNTRIES:
        return Regime.OPT_IN
    # Canada without its province could be Quebec.
    return Regime.OPT_IN if place == "CA" else Regime.OPT_OUT

"""Google Consent Mode as Google's own requests carry it: `gcs` and `gcd`.

https://developers.google.com/tag-platform/security/guides/consent
"""

import re
from typing import Final

from gateway.model.consent import Basis, Choice, Choices, Evidence, SignalState, strictest

_GCS: Final = re.compile(r"G1([01-])([01-])")
_GCD: Final = re.compile(r"[0-9]{2}([a-z])[0-9]([a-z])[0-9]([a-z])[0-9]([a-z])[0-9a-zA-Z]*")
_DIGITS: Final = {"1": Choice.GRANTED, "0": Choice.DENIED, "-": Choice.UNKNOWN}

# Letter -> what an update said; l, p and t tell of defaults only, and a default is no answer. The last two bits of a
# letter are the update: where they refuse, a letter that was never seen is believed, and nowhere else.
_UPDATES: Final = {
    **dict.fromkeys("aeimquy", Choice.DENIED),
    **dict.fromkeys("nrv", Choice.GRANTED),
}


def read_gcs(text: str) -> Evidence:
    """Read `G1` and a digit each for ad_storage and analytics_storage; it does not tell answers from defaults."""
    if (found := _GCS.fullmatch(text)) is None:
        return _unreadable("gcs")
    choices = Choices(marketing=_DIGITS[found[1]], analytics=_DIGITS[found[2]])
    return Evidence(choices=choices, state=SignalState.PENDING, basis=Basis.IMPLIED, cmp="google", entry="gcs")


def read_gcd(text: str) -> Evidence:
    """Read the letters for ad_storage, analytics_storage, ad_user_data and ad_personalization."""
    if (found := _GCD.fullmatch(text)) is None:
        return _unreadable("gcd")
    ad_storage, analytics, user_data, personalization = (
        _UPDATES.get(letter, Choice.UNKNOWN) for letter in found.groups()
    )
    marketing = strictest(ad_storage, user_data, personalization)
    is_answered = any(letter in _UPDATES for letter in found.groups())
    return Evidence(
        choices=Choices(marketing=marketing, analytics=analytics),
        state=SignalState.ANSWERED if is_answered else SignalState.PENDING,
        basis=Basis.IMPLIED,
        cmp="google",
        entry="gcd",
    )


def _unreadable(entry: str) -> Evidence:
    return Evidence(state=SignalState.PENDING, entry=entry, note="not of its known form", unreadable=True)

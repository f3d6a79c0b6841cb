"""TC strings of IAB Europe's Transparency and Consent Framework 2.x.

https://github.com/InteractiveAdvertisingBureau/GDPR-Transparency-and-Consent-Framework/tree/master/TCFv2
"""

from datetime import UTC, datetime
from typing import Final

from gateway.ingest.answers import Unreadable
from gateway.ingest.bits import Bits
from gateway.model.consent import Choice, Choices, Evidence, SignalState

_MOST_CHARS: Final = 8192
_VERSION: Final = 2
_DISCLOSED_FROM: Final = datetime(2026, 3, 1, tzinfo=UTC)  # strings made since then must disclose their vendors
_DISCLOSED_VENDORS: Final = 1
_SEGMENT_TYPES: Final = frozenset((1, 2, 3))

_PREFERENCES: Final = (1, 5, 6)
_ANALYTICS: Final = (1, 8, 9)
_MARKETING: Final = (1, 3, 4)


def read_tc(text: str) -> Evidence:
    """Read what the purposes say; legitimate interest grants nothing here."""
    try:
        updated_at, consents = _read(text)
    except Unreadable as why:
        return Evidence(state=SignalState.PENDING, entry="tc", note=str(why), unreadable=True)
    choices = Choices(
        functional=Choice.GRANTED,
        preferences=_choice(consents, _PREFERENCES),
        analytics=_choice(consents, _ANALYTICS),
        marketing=_choice(consents, _MARKETING),
    )
    return Evidence(choices=choices, captured_at=updated_at, cmp="tcf", entry="tc")


def _choice(consents: tuple[bool, ...], purposes: tuple[int, ...]) -> Choice:
    return Choice.GRANTED if all(consents[purpose - 1] for purpose in purposes) else Choice.DENIED


def _read(text: str) -> tuple[datetime, tuple[bool, ...]]:
    if len(text) > _MOST_CHARS:
        raise Unreadable("too long")
    core, *others = text.split(".")
    bits = Bits(core)
    if bits.read(6) != _VERSION:
        raise Unreadable("not version 2")
    bits.read(36)
    updated_at = _instant(bits.read(36))
    bits.read(12 + 12 + 6 + 12 + 12 + 6)  # CMP, its version, screen, language, vendor list, policy
    if not bits.read(1):
        raise Unreadable("not service-specific")
    bits.read(1 + 12)
    consents = bits.read_flags(24)
    _skip_rest(bits)
    types = {Bits(segment).read(3) for segment in others}
    if not types <= _SEGMENT_TYPES or (updated_at >= _DISCLOSED_FROM and _DISCLOSED_VENDORS not in types):
        raise Unreadable("segments missing or unknown")
    return updated_at, consents


def _skip_rest(bits: Bits) -> None:
    """Read on to the end, so that a string that was cut off is noticed."""
    bits.read(24 + 1 + 12)  # legitimate interests, purpose one treatment, publisher's country
    for _ in ("consents", "legitimate interests"):
        most = bits.read(16)
        if bits.read(1):
            _skip_ranges(bits)
        else:
            bits.read_flags(most)
    for _ in range(bits.read(12)):
        bits.read(6 + 2)
        _skip_ranges(bits)
    bits.end()


def _skip_ranges(bits: Bits) -> None:
    for _ in range(bits.read(12)):
        bits.read(32 if bits.read(1) else 16)


def _instant(deciseconds: int) -> datetime:
    try:
        return datetime.fromtimestamp(deciseconds / 10, UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise Unreadable("not a time") from error

"""Floods of signals: what asks for more is shed first, what asks for less is let through.

Counted in each process by itself: several processes together let through as many times more, which a flood that is
spread over them cannot turn into a grant for anybody else.
"""

import ipaddress
from dataclasses import dataclass, field
from typing import Final

from limits import RateLimitItem, RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter

_ADDRESSES_PER_STORE: Final = 100  # how many addresses at their limit make a store's
_DENIALS_PER_GRANT: Final = 10
_LEAST_DENIALS: Final = 1200


@dataclass(frozen=True, slots=True)
class Shed:
    """A signal that is not taken now."""

    retry_after_seconds: int


@dataclass(slots=True)
class Floodgate:
    """Limits per minute: by address for everything, by store for what denies nothing."""

    per_address: int
    _limiter: SlidingWindowCounterRateLimiter = field(
        default_factory=lambda: SlidingWindowCounterRateLimiter(MemoryStorage())
    )

    def admit(self, store_id: str, address: str, *, is_denial: bool) -> Shed | None:
        """Count a signal; None when it is let through."""
        source = network_of(address)
        if is_denial:
            most = max(self.per_address * _DENIALS_PER_GRANT, _LEAST_DENIALS)
            return self._hit(RateLimitItemPerMinute(most), "denial", source)
        by_address = self._hit(RateLimitItemPerMinute(self.per_address), "address", source)
        return by_address or self._hit(
            RateLimitItemPerMinute(self.per_address * _ADDRESSES_PER_STORE), "store", store_id
        )

    def _hit(self, limit: RateLimitItem, kind: str, who: str) -> Shed | None:
        return None if self._limiter.hit(limit, kind, who) else Shed(limit.get_expiry())


def network_of(address: str) -> str:
    """Return what counts as one host: an IPv6 host has a whole /64 to itself."""
    try:
        known = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(known, ipaddress.IPv4Address):
        return str(known)
    if known.ipv4_mapped is not None:
        return str(known.ipv4_mapped)
    return str(ipaddress.ip_network((known, 64), strict=False))

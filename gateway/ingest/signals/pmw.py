"""Pixel Manager's `_pmw_consent_snapshot` order entry (https://sweetcode.com/docs/wpm/consent-management/)."""

from gateway.ingest.snapshot import read_snapshot
from gateway.model.consent import Evidence


def read_pmw(value: object, *, entry: str) -> Evidence:
    """Read the consent that Pixel Manager took at checkout: `marketing` and `statistics`, maybe more."""
    return read_snapshot(value, entry=entry)

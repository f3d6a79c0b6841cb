"""GTM Kit's `_gtmkit_consent` order entry (https://gtmkit.com/documentation/server-side-consent/)."""

from gateway.ingest.snapshot import read_snapshot
from gateway.model.consent import Evidence


def read_gtmkit(value: object, *, entry: str) -> Evidence:
    """Read the consent that GTM Kit recorded; its inner shape is not documented, so every usual one is accepted."""
    return read_snapshot(value, entry=entry)

"""Instants as text: RFC 3339 in UTC, whole seconds."""

from datetime import UTC, datetime


def as_text(at: datetime) -> str:
    """Return `2026-11-21T15:54:04Z`."""
    return at.astimezone(UTC).isoformat(timespec="seconds").removesuffix("+00:00") + "Z"

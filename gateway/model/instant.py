"""Instants as text: RFC 3339 in UTC, whole seconds."""

from datetime import UTC, datetime


def as_text(at: datetime) -> str:
    """Return `2026-11-21T15:54:04Z`."""
    return at.astimezone(UTC).isoformat(timespec="seconds").removesuffix("+00:00") + "Z"


def of_text(text: object) -> datetime | None:
    """Read an instant; one without a zone is UTC, digits beyond microseconds go, anything else is None."""
    if not isinstance(text, str) or len(text) > 64 or len(text) < 10:  # noqa: PLR2004 - a date alone has ten characters
        return None
    try:
        at = datetime.fromisoformat(text.strip())
        at = at if at.tzinfo else at.replace(tzinfo=UTC)
        return at.astimezone(UTC)
    except (ValueError, OverflowError):
        return None

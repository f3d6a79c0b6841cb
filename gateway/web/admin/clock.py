"""Instants in the viewer's own zone, with UTC beside them."""

from datetime import MAXYEAR, MINYEAR, UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from flask import request

from gateway.storage.people import User, set_zone
from gateway.web.admin.context import running, signed_in


def viewer_zone() -> ZoneInfo:
    """Return the zone of who is signed in."""
    user = signed_in()
    return zone_of(user.zone if user else "UTC")


def zone_of(name: str) -> ZoneInfo:
    """Return the zone of that name, UTC where there is none."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return ZoneInfo("UTC")


@cache
def zone_names() -> tuple[str, ...]:
    """Return every zone that somebody may live in."""
    return tuple(sorted(name for name in available_timezones() if "/" in name or name == "UTC"))


def learn_zone(user: User) -> None:
    """Show times as the browser of who signs in has them, unless they chose a zone themselves."""
    zone = request.form.get("zone", "")
    if user.zone == "UTC" and zone in zone_names():
        set_zone(running().database, user.user_id, zone)


def local_time(at: datetime | None) -> str:
    """`21 Nov 2026, 16:54:04` in the viewer's zone."""
    return at.astimezone(viewer_zone()).strftime("%-d %b %Y, %H:%M:%S") if at else ""


def day_of(at: datetime | None) -> str:
    """`21 Nov 2026` in the viewer's zone."""
    return at.astimezone(viewer_zone()).strftime("%-d %b %Y") if at else ""


def hour_of(at: datetime | None) -> str:
    """`16:54:04` in the viewer's zone."""
    return at.astimezone(viewer_zone()).strftime("%H:%M:%S") if at else ""


def both_times(at: datetime | None) -> str:
    """`21 Nov 2026, 16:54:04 CET (15:54:04 UTC)`: the day is named again where it differs."""
    if at is None:
        return ""
    local, utc = at.astimezone(viewer_zone()), at.astimezone(UTC)
    if not local.utcoffset():
        return f"{utc:%-d %b %Y, %H:%M:%S} UTC"
    other = f"{utc:%H:%M:%S}" if local.date() == utc.date() else f"{utc:%-d %b, %H:%M:%S}"
    return f"{local:%-d %b %Y, %H:%M:%S %Z} ({other} UTC)"


def machine_time(at: datetime) -> str:
    """`2026-11-21T15:54:04Z`, for the datetime attribute."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def since_words(at: datetime | None) -> str:
    """`3 minutes ago`, `in 2 hours`."""
    if at is None:
        return ""
    gone = running().database.now() - at
    text = span_words(abs(gone))
    if text == "now":
        return "just now"
    return f"{text} ago" if gone > timedelta() else f"in {text}"


_SPANS = ((86_400 * 365, "year"), (86_400 * 30, "month"), (86_400, "day"), (3600, "hour"), (60, "minute"))


def span_words(span: timedelta) -> str:
    """`2 days`, `1 hour`, `45 seconds`, `now`."""
    seconds = int(span.total_seconds())
    for size, word in _SPANS:
        if seconds >= size:
            count = seconds // size
            return f"{count} {word}{'' if count == 1 else 's'}"
    return f"{seconds} second{'' if seconds == 1 else 's'}" if seconds else "now"


def read_day(text: str) -> datetime | None:
    """Read `2026-11-21` as the beginning of that day in the viewer's zone."""
    return _read(text, "%Y-%m-%d")


def read_minute(text: str) -> datetime | None:
    """Read `2026-11-21T16:54` in the viewer's zone."""
    return _read(text[:16], "%Y-%m-%dT%H:%M")


def _read(text: str, form: str) -> datetime | None:
    """Read an instant that can be reckoned with: at either end of the calendar no zone can be applied."""
    try:
        at = datetime.strptime(text, form).replace(tzinfo=viewer_zone())
    except ValueError:
        return None
    return at if MINYEAR < at.year < MAXYEAR else None

"""Fields of a payload as our own values: ids, texts, instants. What does not fit reads as nothing, never raises."""

import math
import re
from datetime import UTC, datetime
from typing import Final
from unicodedata import category, normalize

_ID: Final = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_GLOBAL_ID: Final = re.compile(r"gid://shopify/[A-Za-z]{1,40}/([0-9]{1,20})(?:\?.*)?")
_INTEGER: Final = re.compile(r"-?[0-9]{1,40}")
MOST_SECRET_CHARS: Final = 255
_MOST_TIME_CHARS: Final = 64
_MILLISECONDS_FROM: Final = 1e11  # as seconds this would be the year 5138
_MOST_DIGITS: Final = 40
_MOST_INTEGER: Final = 2**31 - 1
_NUMBERS: Final = (int, float)


def object_of(value: object) -> dict[str, object]:
    """Return a JSON object, or an empty one."""
    return value if isinstance(value, dict) else {}


def objects_of(value: object) -> list[dict[str, object]]:
    """Return the objects of a JSON array."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def pairs_of(value: object, key: str) -> list[tuple[str, object]]:
    """Return (name, value) of the objects of a JSON array that name themselves in `key` and hold a `value`.

    PHP writes an array of which some were taken out as an object; one may also be `{name: value}`.
    """
    if isinstance(value, dict):
        return [pair for name, item in value.items() for pair in pairs_of([item], key) or [(name, item)]]
    if not isinstance(value, list):
        return []
    return [(item[key], item.get("value")) for item in value if type(item) is dict and type(item.get(key)) is str]


def id_of(value: object) -> str | None:
    """Return an id as text; `gid://shopify/Order/1` is `1`; 0, negatives and what is no id are None."""
    if type(value) is int:  # nearly all are
        return text if value > 0 and len(text := str(value)) <= _MOST_DIGITS else None
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    text = str(value).strip()
    if (found := _GLOBAL_ID.fullmatch(text)) is not None:
        text = found[1]
    if not isinstance(value, str) and not _INTEGER.fullmatch(text):
        return None
    return text if _ID.fullmatch(text) and not text.startswith("-") and text.strip("0") else None


def text_of(value: object, *, most: int = 255) -> str:
    """Return a text or a number as text, at most `most` characters, without NUL (no database keeps that)."""
    if not isinstance(value, str):
        return str(value)[:most] if isinstance(value, _NUMBERS) and not isinstance(value, bool) else ""
    return (value.replace("\0", "") if "\0" in value else value).strip()[:most]


def secret_of(value: object) -> str | None:
    """Return a key or token as it is, unless it is too long for one."""
    return value if isinstance(value, str) and 0 < len(value) <= MOST_SECRET_CHARS else None


def email_of(*values: object) -> str | None:
    """Return the first e-mail address among `values`, trimmed and in lower case."""
    for value in values:
        text = text_of(value, most=320).lower()
        if "@" in text:
            return text if text.isascii() else _spelled_once(text)
    return None


def _spelled_once(email: str) -> str:
    """Return an address in the one spelling of its letters, without invisible marks, its domain as the DNS has it."""
    visible = "".join(char for char in normalize("NFC", email) if category(char) != "Cf")
    name, _, domain = visible.rpartition("@")
    try:
        return f"{name}@{domain.encode('idna').decode()}"
    except UnicodeError:
        return visible


def integer_of(value: object) -> int | None:
    """Return a whole number that every database keeps, also when it came as text."""
    text = text_of(value, most=20)
    number = int(text) if _INTEGER.fullmatch(text) else None
    return number if number is not None and abs(number) <= _MOST_INTEGER else None


def instant_of(value: object) -> datetime | None:
    """Return an ISO 8601 time in UTC; without an offset it counts as UTC, digits after microseconds are cut.

    `t` and `z` may be small, as in RFC 3339.
    """
    if not isinstance(value, str) or len(value) > _MOST_TIME_CHARS:
        return None
    try:
        instant = datetime.fromisoformat(value.strip().upper())
        return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def instant_of_epoch(value: object) -> datetime | None:
    """Return a time given in seconds or milliseconds since 1970."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    try:
        return datetime.fromtimestamp(value / 1000 if value >= _MILLISECONDS_FROM else value, UTC)
    except (ValueError, OverflowError, OSError):
        return None

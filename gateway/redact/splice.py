"""A body that leaves as the store wrote it, but for its consent: cut and joined as bytes, without being read.

Only where a look at the bytes leaves no doubt; else None, and the body is read and written anew.
"""

import re
from json import JSONDecodeError, JSONDecoder
from typing import Final

from gateway.redact.cut import OWN_ENTRY

_OWN: Final = f'"{OWN_ENTRY}"'.encode()
_CONSENT: Final = re.compile(rb'"consent"[ \t\r\n]*:')
_ESCAPED_ASCII: Final = re.compile(rb"\\u00[0-7]")  # may spell a name in other bytes
_ENTRY_KEYS: Final = frozenset({"id", "key", "name", "value"})
_BLANK: Final = b" \t\r\n"
_scan: Final = JSONDecoder().raw_decode


def with_consent(body: bytes, consent: bytes) -> bytes | None:
    """Return a JSON object with `consent` (JSON too) as its last member, and without the gateway's own entry.

    The entry is cut wherever in the object it stands.
    """
    if _CONSENT.search(body) or _ESCAPED_ASCII.search(body):
        return None
    rest = _without_own(body.strip(_BLANK)) if _OWN in body else body.strip(_BLANK)
    if rest is None or rest[:1] != b"{" or rest[-1:] != b"}":
        return None
    members = rest[:-1].rstrip(_BLANK)
    comma = b"" if members == b"{" else b","
    return b"".join((members, comma, b'"consent":', consent, b"}"))


def _without_own(body: bytes) -> bytes | None:
    """Cut the one entry that bears the gateway's name out of the list that it stands in."""
    at = body.index(_OWN)
    start = body.rfind(b"{", 0, at)
    if start < 0 or body.find(_OWN, at + 1) >= 0:
        return None
    # Every quote before the name is counted from here on: had the brace stood inside a string, the name would be
    # read outside of one, and nothing could be made of it.
    try:
        text = body[start:].decode()
        entry, length = _scan(text)
    except (UnicodeDecodeError, JSONDecodeError, RecursionError):
        return None
    end = start + len(text[:length].encode())
    if end <= at or not _is_entry(entry):
        return None
    before, after = body[:start].rstrip(_BLANK), body[end:].lstrip(_BLANK)
    if before[-1:] == b"," and after[:1] in (b",", b"]"):
        return before[:-1] + after
    if before[-1:] == b"[" and after[:1] == b",":
        return before + after[1:]
    return before + after if before[-1:] == b"[" and after[:1] == b"]" else None


def _is_entry(entry: object) -> bool:
    """Whether this is one entry of metadata, not a product or an address that is called so."""
    return (
        isinstance(entry, dict)
        and entry.keys() <= _ENTRY_KEYS
        and "value" in entry
        and OWN_ENTRY in (entry.get("key"), entry.get("name"))
    )

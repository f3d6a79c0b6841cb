"""Value rules for what has the shape of an identifier and nothing else: UUIDs, hashes, tokens."""

import re
from itertools import pairwise

from gateway.redact.verdict import Finding, Kind, Need

UUID = re.compile(r"(?<![0-9a-fA-F])[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}(?![0-9a-fA-F])")
HEX = re.compile(
    r"(?<![0-9a-zA-Z])(?:[0-9a-fA-F]{32}(?:[0-9a-fA-F]{8}|[0-9a-fA-F]{32}|[0-9a-fA-F]{96})?)(?![0-9a-zA-Z])"
)
DIGEST64 = re.compile(
    r"(?<![\w+/=\-])(?:[A-Za-z0-9+/_\-]{43}=|[A-Za-z0-9+/_\-]{27}=|[A-Za-z0-9+/_\-]{22}==)(?![\w+/=])"
)
JWT = re.compile(r"(?<!\w)eyJ[\w\-]{8,}(?:\.[\w\-]+){0,2}")
RUN = re.compile(r"[A-Za-z0-9]{16,}")
SHORTEST = 16
LEAST_CHANGES = 5


def find(text: str) -> list[Finding]:
    """Return UUIDs, hex and base64 digests, JWTs and random-looking runs in `text`; which tool's, nobody can tell."""
    if len(text) < SHORTEST:
        return []
    found = [Finding(Kind.UUID, Need.BOTH, match) for match in UUID.findall(text)]
    for pattern in (HEX, DIGEST64):
        found += [Finding(Kind.HASH, Need.BOTH, match) for match in pattern.findall(text)]
    found += [Finding(Kind.OPAQUE, Need.BOTH, match) for match in JWT.findall(text)]
    found += [Finding(Kind.OPAQUE, Need.BOTH, run) for run in RUN.findall(text) if looks_random(run)]
    return found


def looks_random(run: str) -> bool:
    """Whether letters, digits and cases change as often as they do only in generated text."""
    if len(run) < SHORTEST or run.isdigit():
        return False
    kinds = [2 if char.isdigit() else 1 if char.isupper() else 0 for char in run]
    changes = sum(one != other for one, other in pairwise(kinds))
    return changes >= LEAST_CHANGES

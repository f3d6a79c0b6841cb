"""Value rules for what tracking tags write: click ids, browser ids and session cookies, whatever they are called."""

import re

from gateway.redact.verdict import Finding, Kind, Need

CLICK = r"(?:Cj0KC|EAIaI|CjwKC|CNj|CL[a-z])[\w\-]{17,}|(?:IwAR|IwZX|IwY2|PAZX|PAAa)[\w\-]{12,}|E\.C\.P\.[\w\-]{6,}"
CLICK_ID = re.compile(rf"(?<![\w\-])(?:{CLICK})")
# `re` is many times quicker with a pattern that begins with a class.
CLICK_MARK = re.compile(r"[CEIP](?:j0KC|AIaI|jwKC|Nj|L[a-z]|wAR|wZX|wY2|AZX|AAa|\.C\.P\.)")
# Without its mark a pattern cannot match. A group, where there is one, is an identifier of its own inside the value.
PATTERNS = tuple(
    (mark, re.compile(pattern), kind, need)
    for mark, pattern, kind, need in (
        ("fb.", r"\bfb\.\d\.\d{10,13}\.([\w\-]+)", Kind.COOKIE, Need.MARKETING),
        ("GA1.", r"\bGA1\.\d\.(?:\d-\d\.)?(\d{5,11}\.\d{9,10})\b", Kind.CLIENT_ID, Need.ANALYTICS),
        ("GS", r"\bGS[12]\.\d\.[\w$.\-]+", Kind.CLIENT_ID, Need.ANALYTICS),
        ("dcid.", r"\bdcid\.\d\.[\w.\-]+", Kind.DEVICE_ID, Need.BOTH),
        ("GCL.", r"\bGCL\.\d{9,10}\.([\w\-]+)", Kind.COOKIE, Need.MARKETING),
        (".1", r"(?<![\d.])\d{6,10}\.1\d{9}(?![\d.])", Kind.CLIENT_ID, Need.ANALYTICS),
        (".1", r"(?<![\w.])1\.\d\.\d{6,12}\.1\d{9}(?![\d.])", Kind.COOKIE, Need.MARKETING),
    )
)
# The last two are a number and a time.
TIME = re.compile(r"\.1\d{9}")
TIMED = re.compile(r"\d{6}\.1\d{9}")
UNTIMED = PATTERNS[:-2]


def find(text: str) -> list[Finding]:
    """Return the tags' identifiers in `text`, and what they carry inside."""
    found: list[Finding] = []
    if "." in text:
        is_timed = TIME.search(text) and TIMED.search(text)
        for mark, pattern, kind, need in PATTERNS if is_timed else UNTIMED:
            if mark not in text:
                continue
            for match in pattern.finditer(text):
                found.append(Finding(kind, need, match[0]))
                found += [Finding(kind, need, part) for part in match.groups() if part]
    if CLICK_MARK.search(text):
        found += [Finding(Kind.CLICK_ID, Need.MARKETING, match) for match in CLICK_ID.findall(text)]
    return found

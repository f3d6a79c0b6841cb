"""Value rules for contact data: e-mail addresses and phone numbers anywhere in a text."""

import re

from gateway.redact.verdict import Finding, Kind, Need

EMAIL = re.compile(r"[^\s@\"'<>()\[\]{},;:|=&?/\\]{1,64}@[^\s@\"'<>()\[\]{},;:|=&?/\\]{1,190}\.[^\W\d_]{2,24}")
# What every phone number begins with; `re` is many times quicker with patterns that begin with a class or a letter.
DIGITS = re.compile(r"\d\D{0,3}(?:\d\D{0,3}){6}")
CLOSE_DIGITS = re.compile(r"\d(?:[ ().\-/]{0,4}\d){6}")
GROUPED_DIGITS = re.compile(r"[2-9]\d{2}[ .\-]\d{3}[ .\-]\d{4}")
ZEROS = re.compile(r"00[1-9]")
SPACED_DIGITS = re.compile(r"0[1-9]\d{1,4}[ /]\d[\d \-]{4,10}\d")
PHONE = re.compile(
    r"""
    (?<![\w.])\+[ ]?\(?\d{1,3}\)?(?:[ ().\-/]{0,3}\d){6,13}(?!\d)   # +49 (30) 123-4567
    |(?<![\w.+\-])(?:
        00[1-9]\d{0,2}(?:[ ().\-/]?\d){6,12}                         # 0049 30 1234567
        |\(0?\d{2,4}\)[ \-]?\d{3,4}[ \-]?\d{2,5}                     # (030) 1234567
        |0[1-9]\d{1,4}[ /]\d[\d \-]{4,10}\d                          # 0171 2345678
        |[2-9]\d{2}[ .\-]\d{3}[ .\-]\d{4}                            # 212 555 0100
    )(?![\w\-])
    """,
    re.VERBOSE,
)


def find(text: str) -> list[Finding]:
    """Return the e-mail addresses and phone numbers in `text`."""
    found: list[Finding] = []
    if "@" in text:
        found += [Finding(Kind.EMAIL, Need.MARKETING, match) for match in EMAIL.findall(text)]
    if _may_hold_phone(text):
        found += [Finding(Kind.PHONE, Need.MARKETING, match.strip()) for match in PHONE.findall(text)]
    return found


def _may_hold_phone(text: str) -> bool:
    """Whether a text may match one of the ways in which `PHONE` spells a number: dates have as many digits."""
    is_parted = " " in text or "-" in text or "." in text or "/" in text
    may_match = is_parted and (SPACED_DIGITS.search(text) or GROUPED_DIGITS.search(text))
    if not may_match and ("+" in text or "(" in text or ZEROS.search(text)):
        may_match = CLOSE_DIGITS.search(text)
    return bool(may_match and DIGITS.search(text))

"""Value rules for the network: IP addresses and user agents."""

import re
from ipaddress import ip_address

from gateway.redact.verdict import Finding, Kind, Need

WORD = re.compile(r"[^\s,;|\"'()]+")
V4 = r"\d{1,3}(?:\.\d{1,3}){3}"
V6 = r"[0-9a-fA-F]{0,4}(?::[0-9a-fA-F]{0,4}){2,7}(?:\.\d{1,3}){0,3}"
ADDRESS = re.compile(rf"\[?(?:{V4}|{V6})\]?(?::\d{{1,5}})?")
DOTS, COLONS = 3, 2  # the fewest that an address can have
# Without such a piece there is no address, and without such a mark no user agent.
PIECE_OF_V4 = re.compile(r"\d\.\d{1,3}\.\d{1,3}\.\d")
PIECE_OF_V6 = re.compile(r":(?:[0-9a-fA-F]{1,4}:){5}|::")
AGENT_MARK = re.compile(r"[aklps]/\d")
AGENT = re.compile(r"(?:Mozilla|Opera|Dalvik|okhttp|CFNetwork|curl|python-requests)/\d[^\n\"]{0,400}")


def find(text: str) -> list[Finding]:
    """Return the addresses that stand as words of their own, and a user agent."""
    found: list[Finding] = []
    has_dots = text.count(".") >= DOTS and PIECE_OF_V4.search(text)
    if has_dots or (text.count(":") >= COLONS and PIECE_OF_V6.search(text)):
        words = [word for word in WORD.findall(text) if word.count(".") >= DOTS or word.count(":") >= COLONS]
        found += [Finding(Kind.IP, Need.EITHER, word) for word in map(_address, words) if word]
    if "/" in text and AGENT_MARK.search(text):
        found += [Finding(Kind.USER_AGENT, Need.EITHER, match) for match in AGENT.findall(text)]
    return found


def _address(word: str) -> str | None:
    if not ADDRESS.fullmatch(word):
        return None
    bare = word.rsplit(":", 1)[0] if word.count(":") == 1 or "]:" in word else word
    bare = bare.strip("[]")
    try:
        ip_address(bare)
    except ValueError:
        return None
    return bare

"""URLs taken apart: what stays of the path, of the query, and what everything else gives away."""

import re
from typing import NamedTuple
from urllib.parse import SplitResult, unquote, unquote_plus, urlsplit

from gateway.redact.composite import identifiers_in
from gateway.redact.identifiers import Use, judge_key
from gateway.redact.shapes import Rules
from gateway.redact.verdict import Finding, Gate, Kind, Need

SCHEMES = frozenset({"", "http", "https", "android-app", "ios-app"})
PRIVATE_AFTER = frozenset({"orders", "checkouts", "account"})
HOST = re.compile(r"(?:[\w\-]+\.)*[\w\-]+\.?|\[[0-9a-fA-F:.]+\]", re.ASCII)
BARE_HOST = re.compile(r"(?:[A-Za-z0-9\-]+\.)+[A-Za-z]{2,}(?::\d+)?(?:[/?#].*)?")
IPV4 = re.compile(r"\d+(?:\.\d+){3}")
ORDER_KEY = re.compile(r"wc_order_\w+")
LONGEST_CHARS = 16384


class CleanUrl(NamedTuple):
    """What is left of a URL (None: nothing), the names of its parts that went, and the denied identifiers in them."""

    text: str | None
    removed: tuple[str, ...]
    findings: tuple[Finding, ...]


def clean_url(url: str, gate: Gate, rules: Rules) -> CleanUrl:
    """Take out of `url` what `gate` denies; a URL that cannot be read goes altogether."""
    text = url.strip()
    split = _split(text)
    if split is None or _is_personal_host(split, rules, gate):
        return CleanUrl(None, ("",), tuple(gate.denied(identifiers_in(text, shapes=False))))
    gone = _Gone(gate)
    path = _clean_path(split.path, gone)
    query = _clean_query(split.query, gone)
    user, _, host = split.netloc.rpartition("@")
    gone.part("@", user)
    gone.part("#", split.fragment)
    prefix = text[: text.index("//") + 2] if split.netloc else ""
    return CleanUrl(prefix + host + path + (f"?{query}" if query else ""), tuple(gone.names), tuple(gone.findings))


class _Gone:
    """The parts of one URL that went, and what was in them."""

    def __init__(self, gate: Gate) -> None:
        self.gate = gate
        self.names: list[str] = []
        self.findings: list[Finding] = []

    def part(self, name: str, text: str) -> None:
        if text:
            self.names.append(name)
            self.findings += self.gate.denied(identifiers_in(text, shapes=False))


def _split(text: str) -> SplitResult | None:
    if not text or len(text) > LONGEST_CHARS or len(text.split(None, 1)) > 1:
        return None
    try:
        split = urlsplit(text)
        host, _ = split.hostname, split.port
    except ValueError:
        return None
    if split.netloc:
        return split if split.scheme in SCHEMES and host and HOST.fullmatch(host) else None
    is_relative = not split.scheme and text[0] in "/?#"
    is_bare = BARE_HOST.fullmatch(text) and "@" not in split.path
    return split if is_relative or (is_bare and not split.scheme) else None


def _is_personal_host(split: SplitResult, rules: Rules, gate: Gate) -> bool:
    """Whether the host is an IP address that is not the shop's own."""
    host = split.hostname or ""
    is_address = ":" in host or bool(IPV4.fullmatch(host))
    return is_address and host not in rules.shop_hosts and gate.denies(Need.EITHER, Kind.IP)


def _clean_path(path: str, gone: _Gone) -> str:
    segments: list[str] = []
    is_private = False
    for segment in path.split("/"):
        plain = unquote(unquote(segment)) if "%" in segment else segment
        is_personal = bool(plain) and (is_private or _is_token(plain, gone.gate))
        segments.append("*" if is_personal else segment)
        is_private = is_private or plain.lower() in PRIVATE_AFTER
        if is_personal:
            gone.part("/*", plain)
    return "/".join(segments)


def _is_token(segment: str, gate: Gate) -> bool:
    if ORDER_KEY.search(segment) or "@" in segment:
        return True
    return any(
        f.kind in TOKEN_KINDS or gate.denies(f.need, f.kind) for f in identifiers_in(segment, shapes=True, depth=2)
    )


TOKEN_KINDS = frozenset({Kind.UUID, Kind.HASH, Kind.OPAQUE})


def _clean_query(query: str, gone: _Gone) -> str:
    kept: list[str] = []
    for piece in query.split("&") if query else ():
        name, _, value = piece.partition("=")
        plain_name = unquote_plus(name) if "%" in name or "+" in name else name
        if _may_stay(plain_name, value, gone.gate):
            kept.append(piece)
        else:
            gone.part(f"?{plain_name}", f"{plain_name}={unquote(value)}")
    return "&".join(kept)


def _may_stay(name: str, value: str, gate: Gate) -> bool:
    verdict = judge_key(name, in_query=True)
    if verdict is None or verdict.use not in STAYING or gate.denies(verdict.need, verdict.kind):
        return False
    is_utm = verdict.use is UTM
    found = identifiers_in(unquote(value), shapes=is_utm)
    found += identifiers_in(unquote_plus(value), shapes=is_utm) if "+" in value else []
    return not gate.denied(found)


UTM = Use.UTM
STAYING = (UTM, Use.IDENTIFIER)

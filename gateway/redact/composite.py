"""Reading values that hold several things: JSON in strings, cookies, queries, pipe lists, linkers, base64."""

import base64
import binascii
import re
from collections.abc import Iterator
from urllib.parse import unquote

import orjson

from gateway.redact.identifiers import SHAPE_RULES, VALUE_RULES, Use, judge_key
from gateway.redact.verdict import Finding, Kind, Need

DEEPEST = 6
# Every level may say the same in several ways; of a long text fewer levels are read, and then it is not trusted.
LONG_CHARS, DEEPEST_OF_LONG = 8192, 3
LONGEST_CHARS = 16384
# Nothing to look for, but not to be trusted either.
TOO_MUCH = Finding(Kind.APP, Need.BOTH, "")
# The name is bounded: one without an end would be tried from each of its letters on.
PAIR = re.compile(r"([A-Za-z_$][\w.\-\[\]$]{0,127}+)\s?[=:]\s?([^&;|\n]+)")
PIECES = re.compile(r"[&;|\n]")
NAMED = re.compile(r"\s?([A-Za-z_$][\w.\-\[\]$]{0,127}+)\s?[=:]([^&;|\n]*)")
BASE64 = re.compile(r"[A-Za-z0-9+/_\-]{12,}={0,2}")
BASE64_JSON = ("eyJ", "W3", "WyJ")
LINKER_STARS = 3
SHORTEST_CHARS = 5
# Amounts, times and short words: most of what is read, and nothing can be inside.
PLAIN = re.compile(
    r"[A-Za-z_]\w{0,10}|-?(?:0|[1-9]\d{0,8})(?:\.\d{1,9})?"
    r"|[12]\d{3}-[01]\d-[0-3]\d[T ][0-2]\d:[0-5]\d:[0-5]\d(?:Z|[+\-][01]\d:[0-5]\d)?",
    re.ASCII,
)
# Without any of these a text is plain words. (`re` is many times quicker with patterns that begin with a class.)
MARK = re.compile(r"[@%=:{*]")
LONG_WORD = re.compile(r"[A-Za-z0-9_\-][A-Za-z0-9_\-]{11}")
DIGIT = re.compile(r"\d")
NUMBERS = re.compile(r"\d\D{0,3}(?:\d\D{0,3}){5}\d|/\d|G[AS]\d|\.\d+\.")
ALL_RULES = VALUE_RULES + SHAPE_RULES
IDENTIFIER = Use.IDENTIFIER
SHORT_NAME = re.compile(r"[A-Za-z_]\w{0,14}", re.ASCII)


def identifiers_in(value: object, *, shapes: bool, depth: int = DEEPEST) -> list[Finding]:
    """Return every identifier inside a value of any type; `shapes` also counts what only looks like one."""
    if isinstance(value, str):
        return _in_text(value, shapes, depth) if may_hold_any(value) else []
    if not isinstance(value, (dict, list)):
        return []
    if depth <= 0:
        return [TOO_MUCH]
    found: list[Finding] = []
    if isinstance(value, dict):
        for key, item in value.items():
            found += _in_pair(str(key), item, shapes, depth - 1)
    else:
        for item in value:
            found += identifiers_in(item, shapes=shapes, depth=depth - 1)
    return found


def identifiers_in_words(text: str) -> list[Finding]:
    """Return what stands in words that people read; there `Cookie: Choco` is no cookie."""
    if not may_hold_any(text):
        return []
    written = {text, unquote(text)} if "%" in text else {text}
    found = [finding for spelling in written for rule in VALUE_RULES for finding in rule(spelling)]
    return [finding for finding in found if finding.kind is not Kind.IP]


def may_hold_any(text: str) -> bool:
    """Whether a text needs to be read closely: False for what is plainly an amount, a time or words."""
    if len(text) < SHORTEST_CHARS or PLAIN.fullmatch(text):
        return False
    if ":" in text or "=" in text or LONG_WORD.search(text) or MARK.search(text) or "fb." in text or "GCL" in text:
        return True
    return bool(DIGIT.search(text) and NUMBERS.search(text))


def parts_of(text: str, *, shapes: bool) -> list[tuple[str, object]]:
    """Return what a composite text holds, by name; a part without a name has the name ""."""
    stripped = text.strip()
    if stripped[:1] in ("{", "["):
        try:
            return [("", orjson.loads(stripped))]
        except orjson.JSONDecodeError:
            pass
    parts: list[tuple[str, object]] = []
    if "%" in stripped and (plain := unquote(stripped)) != stripped:
        parts.append(("", plain))
    if (shapes or stripped.startswith(BASE64_JSON)) and BASE64.fullmatch(stripped) and (plain := _decoded(stripped)):
        parts.append(("", plain))
    if "*" in stripped and stripped.count("*") >= LINKER_STARS:
        parts += _linked(stripped.split("*"))
    if "=" in stripped or ":" in stripped:
        parts += PAIR.findall(stripped)
    return parts


def pairs_of(text: str) -> dict[str, object]:
    """Return the pairs that a text is made of, as a JSON object, a query or a pipe list; empty when of more."""
    stripped = text.strip()
    if stripped[:1] == "{":
        try:
            value = orjson.loads(stripped)
        except orjson.JSONDecodeError:
            return {}
        return value if isinstance(value, dict) else {}
    found = [NAMED.fullmatch(piece) for piece in PIECES.split(stripped) if piece]
    return {} if None in found else {match[1]: match[2] for match in found if match}


def _in_text(text: str, shapes: bool, depth: int) -> list[Finding]:
    found: list[Finding] = []
    if len(text) > LONG_CHARS:
        depth = min(depth, DEEPEST_OF_LONG)
        found = [TOO_MUCH] if len(text) > LONGEST_CHARS else found
        text = text[:LONGEST_CHARS]
    for rule in ALL_RULES if shapes else VALUE_RULES:
        found += rule(text)
    for name, part in parts_of(text, shapes=shapes):
        if depth <= 0:
            return [*found, TOO_MUCH]
        found += _in_pair(name, part, shapes, depth - 1)
    return found


def _in_pair(name: str, part: object, shapes: bool, depth: int) -> list[Finding]:
    verdict = judge_key(name) if name else None
    is_known = verdict is not None and verdict.use is IDENTIFIER
    found = identifiers_in(part, shapes=shapes and not is_known, depth=depth)
    if name and not SHORT_NAME.fullmatch(name):
        found += [finding for rule in VALUE_RULES for finding in rule(name)]
    if verdict and is_known:
        found += [Finding(verdict.kind, verdict.need, leaf) for leaf in leaves_of(part)]
    return found


def leaves_of(value: object) -> Iterator[str]:
    """Yield every scalar inside a value as text; booleans and nothing say nothing."""
    if isinstance(value, dict):
        for item in value.values():
            yield from leaves_of(item)
    elif isinstance(value, list):
        for item in value:
            yield from leaves_of(item)
    elif value is not None and not isinstance(value, bool) and str(value).strip():
        yield str(value).strip()


def _decoded(text: str) -> str:
    try:
        raw = base64.b64decode(
            text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4), altchars=b"-_" if "+" not in text else None
        )
        plain = raw.decode()
    except (binascii.Error, ValueError):
        return ""
    return plain if plain.isprintable() else ""


def _linked(pieces: list[str]) -> list[tuple[str, object]]:
    """Names and values of a cross-domain linker: `1*check*_ga*MTIz..*_gcl_aw*..`."""
    return [
        (name, _decoded(value.replace(".", "=")) or value)
        for name, value in zip(pieces[2::2], pieces[3::2], strict=False)
    ]

"""Reading a text in every spelling: JSON escapes, URL encoding, HTML entities, base64, and the digests in it."""

import binascii
import hashlib
import html
import re
import string
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from ipaddress import ip_address, ip_network
from unicodedata import category, is_normalized, normalize
from urllib.parse import unquote

from gateway.redact.verdict import SHORTEST_DIGEST, Denied, Kind, Search, search_of

DEEPEST = 4
RUN_CHARS = string.ascii_letters + string.digits + "+/_-="
# Everything that cannot stand in a base64 or hex run becomes a blank.
RUNS = bytes(code if chr(code) in RUN_CHARS else 0x20 for code in range(256))
SHORTEST_RUN = 8
PART = r"(?:(?:[A-Z][a-z]{3,})+|[A-Z]?[a-z]+|[A-Z]+|\d+(?:T\d*)?)"
WORDS = re.compile(rf"{PART}?(?:[/_\-+=]+{PART})*[/_\-+=]*")
STRING = re.compile(r'(?:[^"\\]|\\.)*', re.DOTALL)
ENTITY = re.compile(r"&#?\w{2,8};")
ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)
SURROGATE = re.compile("[\ud800-\udfff]")
CONTROLS = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f"}
PRINTABLE = re.compile(r"[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufffd]*")
LONG_PART = re.compile(r"[0-9A-Za-z+]{22}")
SPELLING_MARK = re.compile(r"[\\%+&]")
JOINTS = re.compile(r"[/_\-=]+")  # base64 may be a part of a path or of a code
NOT_HEX = re.compile(r"[^0-9a-fA-F]+")  # a digest may stand behind a mark: `0x`, `sha256-`
MARKS_BEFORE, MARKS_AFTER = '":[,\n', '",}]\n'  # an empty string is in both: where the text ends
MOST_BLANKS = 8
GAPS, MOST_GAPS = " \t().-/\u2010\u2011\u2012\u2013\u2014\u2015", 3
ASCII_GAPS = "".join(filter(str.isascii, GAPS)).encode()
DASHES = re.compile(f"[{''.join(char for char in GAPS if not char.isascii())}]")
PHONE_GAP = f"[{re.escape(GAPS)}]{{0,{MOST_GAPS}}}"
# What may stand before the digits that a number shares with another spelling of it: the country's code, a zero.
BEFORE_PHONE = re.compile(rf"(?:^|[^\d.]|\D\.)(?:00)?\d{{0,3}}{PHONE_GAP}0?{PHONE_GAP}$")
NOT_DIGIT = re.compile(r"\D+")
BLANK = re.compile(r"\s+")
# What is not shown: https://www.unicode.org/reports/tr44/#Default_Ignorable_Code_Point
INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
SOFT_HYPHEN, FIRST_MARK = "\u00ad", "\u0300"
ASCII = bytes(range(128))
LONG_CHARS = 200
ALGORITHMS = {16: hashlib.md5, 20: hashlib.sha1, 32: hashlib.sha256}
HEX_CHARS = (32, 40, 64)
BASE64_CHARS = (SHORTEST_DIGEST, 27, 43)  # without padding
NOT_PUBLIC = {
    4: ("127.0.0.0/8", "10.0.0.0/8", "192.168.0.0/16", "172.16.0.0/12", "169.254.0.0/16", "0.0.0.0/32"),
    6: ("::1/128", "fc00::/7", "fe80::/10", "::/128"),
}
NETWORKS = {version: tuple(map(ip_network, written)) for version, written in NOT_PUBLIC.items()}
SHORTEST_PHONE, LONGEST_PHONE, PHONE_TAIL = 7, 15, 8
WRITTEN_OTHERWISE = frozenset({Kind.PHONE, Kind.IP})


class Reading:
    """A text with everything that is spelled in it; made once, asked for many values."""

    def __init__(self, text: str, raw: bytes | None = None) -> None:
        """Decode those pieces of `text` that say something else once they are decoded, and what they say in turn.

        `raw` is the text in UTF-8, where that is at hand.
        """
        self.digests: set[bytes] = set()
        if _is_spelled_once(text):
            self.plain: str = text.lower()
            self._own_chars: int | None = None
            return
        raw = raw or _encoded(text)
        layers = [text]
        waiting = [piece for piece in self._decoded_pieces(text, raw) if piece]
        for _ in range(DEEPEST - 1):
            if not waiting:
                break
            layers += waiting
            waiting = [piece for layer in waiting for piece in self._decoded_pieces(layer, _encoded(layer)) if piece]
        layers += waiting
        own = folded(text, raw)
        self.plain = "\n".join([own, *map(folded, layers[1:])])
        self._own_chars = len(own) if len(layers) > 1 else None

    @cached_property
    def decoded(self) -> frozenset[str]:
        """What was spelled in the text, piece by piece."""
        if self._own_chars is None:
            return frozenset()
        return frozenset(line.strip() for line in self.plain[self._own_chars :].split("\n"))

    def suspects(self, wanted: Sequence[Denied]) -> Sequence[Denied]:
        """Return the values that may be in the text; of the others one look tells that they are not."""
        found = self._near(wanted)
        if any(one.spellings for one in found):
            found = self._near([each for one in found for each in spelled_out(one)])
        return found

    def _near(self, wanted: Sequence[Denied]) -> Sequence[Denied]:
        if self.digests:
            return wanted
        plain = self.plain
        return [one for one in wanted if (one.needle or needle_of(one.value)) in plain or one.kind in WRITTEN_OTHERWISE]

    def holds(self, denied: Denied) -> bool:
        """Whether the value is in the text, as it is, in another spelling, or as a digest."""
        needle = wanted_needle(denied)
        if not needle:
            return False
        if denied.kind == Kind.IP:
            return any(map(self._holds_address, _written_addresses(needle))) or self.holds_digest(denied)
        if denied.kind == Kind.PHONE and needle.isdigit():
            return self._holds_number(needle) or self._holds_phone(needle) or self.holds_digest(denied)
        if needle in self.plain and (not needle.isdigit() or self._stands_alone(needle)):
            return True
        if denied.kind == Kind.PHONE and self._holds_phone(needle):
            return True
        return self.holds_digest(denied)

    def may_be_whole(self, needle: str) -> bool:
        """Whether the needle stands somewhere between the marks that end a JSON value or a line."""
        at = self.plain.find(needle)
        while at >= 0:
            end = at + len(needle)
            before, after = (
                self.plain[max(0, at - MOST_BLANKS) : at].rstrip(" "),
                self.plain[end : end + MOST_BLANKS].lstrip(" "),
            )
            if before[-1:] in MARKS_BEFORE and after[:1] in MARKS_AFTER:
                return True
            at = self.plain.find(needle, end)
        return False

    def holds_digest(self, denied: Denied) -> bool:
        """Whether a digest of the value is in the text."""
        return bool(self.digests) and not self.digests.isdisjoint(_digests_of(denied, self._digest_lengths))

    @cached_property
    def _digest_lengths(self) -> frozenset[int]:
        return frozenset(map(len, self.digests))

    def _holds_address(self, needle: str) -> bool:
        if needle not in self.plain:
            return False
        beside = ":" if ":" in needle else ""
        return bool(re.search(rf"(?<![\w.{beside}]){re.escape(needle)}(?![\w{beside}]|\.\d)", self.plain))

    def _stands_alone(self, needle: str) -> bool:
        """Whether the digits are not a piece of a longer number."""
        return bool(re.search(rf"(?<!\d){needle}(?!\d)", self.plain))

    def _holds_number(self, needle: str) -> bool:
        """Whether the digits stand alone: `GA1.1.1234567890.1795300000` is nobody's phone number."""
        return needle in self.plain and bool(re.search(rf"(?<!\d)(?<!\d\.){needle}(?!\.?\d)", self.plain))

    def _holds_phone(self, needle: str) -> bool:
        digits = NOT_DIGIT.sub("", needle).lstrip("0")
        if len(digits) < SHORTEST_PHONE or digits[-PHONE_TAIL:].encode() not in self._squeezed:
            return False
        tail = re.compile(PHONE_GAP.join(digits[-PHONE_TAIL:]) + r"(?!\.?\d)")
        return any(
            _begins_phone(self.plain, match.start(), digits[:-PHONE_TAIL]) for match in tail.finditer(self.plain)
        )

    @cached_property
    def _squeezed(self) -> bytes:
        plain = self.plain if self.plain.isascii() else DASHES.sub("", self.plain)
        return plain.encode("utf-8", "replace").translate(None, ASCII_GAPS)

    def _decoded_pieces(self, text: str, raw: bytes) -> Iterator[str]:
        if "\\" in text:
            yield _joined(map(_unescape, _escaped_strings(text)))
        if "%" in text:
            yield _joined(map(unquote, _strings_with("%", text)))
        if "+" in text:
            yield _joined(piece.replace("+", " ") for piece in _strings_with("+", text))
        if "&" in text and ENTITY.search(text):
            yield _joined(map(html.unescape, _strings_with("&", text)))
        yield _joined(plain for run in self._runs(raw) for plain in _decoded(run))

    def _runs(self, raw: bytes) -> Iterator[str]:
        """The runs that may be base64; digests among them, and those in hex, are written down."""
        if len(raw) < SHORTEST_RUN:
            return
        pieces = raw.translate(RUNS).split()
        # Most are words in one case: they are not base64, and too short for a digest.
        telling = {
            one
            for one in pieces
            if (size := len(one)) >= SHORTEST_RUN and (size >= SHORTEST_DIGEST or not one.islower())
        }
        for run in [piece.decode("ascii") for piece in telling]:
            is_mixed = run != run.lower()
            if len(run) >= SHORTEST_DIGEST and (is_mixed or LONG_PART.search(run)):
                self.digests.update(filter(None, _digests_in(run)))  # what is no base64 reads as nothing
            if is_mixed and not WORDS.fullmatch(run):
                yield run
                yield from (part for part in JOINTS.split(run) if len(part) >= SHORTEST_RUN and len(part) < len(run))


def _is_spelled_once(text: str) -> bool:
    """Whether a short text plainly says what it says: nothing in it can be decoded, or be a digest."""
    if len(text) >= SHORTEST_DIGEST or not text.isascii() or SPELLING_MARK.search(text):
        return False
    return len(text) < SHORTEST_RUN or text == text.lower()


def wanted_needle(denied: Denied) -> str:
    """Return the form in which a denied value is looked for."""
    return denied.needle or needle_of(denied.value)


def needle_of(value: str) -> str:
    """Return the form in which a value is looked for."""
    trimmed = value.strip()
    return folded(unquote(trimmed) if "%" in trimmed else trimmed)


def spelled_out(denied: Denied) -> list[Denied]:
    """Return what is looked for one by one."""
    if not denied.spellings:
        return [denied]
    path, kind = denied.path, Kind(denied.kind)
    found = [Denied(path, kind, one, search_of(kind, one), needle_of(one)) for one in denied.spellings]
    return [one for one in found if one.search is not Search.NEVER]


def folded(text: str, raw: bytes | None = None) -> str:
    """Return a text as it is compared: one case, one form of every letter, nothing invisible."""
    if text.isascii():
        return text.lower()
    if len(text) >= LONG_CHARS:
        raw = raw or _encoded(text)
        if letters := _simple_letters(raw):
            return _folded_letters(raw, letters)
    return INVISIBLE.sub("", normalize("NFKC", text)).casefold()


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _simple_letters(raw: bytes) -> set[str]:
    """Return the letters and signs of a text that are not ASCII, if none is joined to others or written otherwise."""
    letters = set(raw.translate(None, ASCII).decode("utf-8", "surrogatepass"))
    is_simple = all(letter < FIRST_MARK or category(letter)[0] in "PS" for letter in letters)
    is_simple = is_simple and SOFT_HYPHEN not in letters and is_normalized("NFKC", "".join(letters))
    return letters if is_simple else set()


def _folded_letters(raw: bytes, letters: set[str]) -> str:
    """Fold a long text without looking at every letter of it."""
    plain = raw.lower().decode()
    for letter in letters:
        if (lowered := letter.casefold()) != letter:
            plain = plain.replace(letter, lowered)
    return plain


def is_public_address(text: str) -> bool:
    """Whether an IP address is worth searching for; documentation ranges are, private and link-local ones are not."""
    try:
        address = ip_address(text)
    except ValueError:
        return True
    return not any(address in network for network in NETWORKS[address.version])


def _written_addresses(needle: str) -> set[str]:
    """An IPv6 address may be written long or short."""
    if ":" not in needle:
        return {needle}
    try:
        address = ip_address(needle)
    except ValueError:
        return {needle}
    return {needle, address.compressed, address.exploded}


def _joined(pieces: Iterable[str]) -> str:
    return "\n".join(piece for piece in pieces if piece)


def _strings_with(char: str, text: str) -> Iterator[str]:
    """Yield what stands between the quotes around each `char`."""
    at = text.find(char)
    while at >= 0:
        end = text.find('"', at)
        end = len(text) if end < 0 else end
        yield text[text.rfind('"', 0, at) + 1 : end]
        at = text.find(char, end)


def _escaped_strings(text: str) -> Iterator[str]:
    at = text.find("\\")
    while at >= 0:
        match = STRING.match(text, text.rfind('"', 0, at) + 1)
        end = max(match.end() if match else 0, at + 1)
        yield match[0] if match else ""
        at = text.find("\\", end)


def _unescape(text: str) -> str:
    plain = ESCAPE.sub(_unescaped, text)
    if SURROGATE.search(plain):
        plain = plain.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return plain


def _unescaped(match: re.Match[str]) -> str:
    code, char = match.groups()
    return chr(int(code, 16)) if code else CONTROLS.get(char, char)


def _decoded(run: str) -> Iterator[str]:
    """What a base64 run says, from each of the four places where it may begin."""
    letters = run.strip("=").replace("-", "+").replace("_", "/")
    for start in range(4):
        plain = _plain_bytes(letters[start:]).decode("utf-8", "ignore")
        if plain and len(plain) * 5 >= (len(letters) - start) * 3 and PRINTABLE.fullmatch(plain):
            yield plain


def _plain_bytes(letters: str) -> bytes:
    tail = len(letters) % 4
    try:
        return binascii.a2b_base64(letters[:-1] if tail == 1 else letters + "=" * (-tail % 4))
    except ValueError:  # what stands in a denied value need not be base64, nor ASCII
        return b""


def _digests_in(run: str) -> Iterator[bytes]:
    letters = run.strip("=")
    if len(letters) in BASE64_CHARS and letters != letters.lower():
        yield _plain_bytes(letters.replace("-", "+").replace("_", "/"))
    if not LONG_PART.search(letters):
        return
    for part in JOINTS.split(letters):
        if len(part) in BASE64_CHARS and part != part.lower():
            yield _plain_bytes(part)
    for part in NOT_HEX.split(letters):
        if len(part) in HEX_CHARS:
            yield bytes.fromhex(part)


def _digests_of(denied: Denied, lengths: frozenset[int]) -> Iterator[bytes]:
    """The digests of the forms in which vendors ask for a value, and the value itself when it is a digest."""
    yield from _digests_in(denied.value.strip())
    algorithms = [ALGORITHMS[length] for length in lengths & ALGORITHMS.keys()]
    for form in _hashed_forms(denied) if algorithms else ():
        raw = _encoded(form)
        for algorithm in algorithms:
            yield algorithm(raw, usedforsecurity=False).digest()


def _hashed_forms(denied: Denied) -> set[str]:
    """Trimmed, lower case, digits only, without blanks or what is not shown: vendors differ."""
    value = INVISIBLE.sub("", denied.value).strip()
    lowered = value.lower()
    forms = {denied.value, denied.value.strip(), value, lowered, BLANK.sub("", lowered), value.upper(), folded(value)}
    forms.add("".join(char for char in lowered if char.isalnum()))
    if denied.kind == Kind.PHONE:
        digits = NOT_DIGIT.sub("", value)
        bare = digits.lstrip("0")
        forms |= {digits, bare, "+" + bare, "+" + digits, "00" + bare, "0" + bare}
    if denied.kind == Kind.EMAIL and "@" in lowered:
        name, _, host = lowered.rpartition("@")
        forms |= {f"{name.partition('+')[0]}@{host}", f"{name.partition('+')[0].replace('.', '')}@{host}"}
    return forms


def _begins_phone(text: str, at: int, head: str) -> bool:
    """Whether what stands before the shared tail is the rest of a phone number, and not of something longer."""
    for digit in reversed(head):
        from_here = max(0, at - MOST_GAPS - 1)
        before = from_here + len(text[from_here:at].rstrip(GAPS))
        if text[max(0, before - 1) : before] != digit:
            break
        at = before - 1
    return bool(BEFORE_PHONE.search(text[max(0, at - LONGEST_PHONE) : at]))

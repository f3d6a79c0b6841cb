"""What one redaction writes down while it goes: what went, what nobody knows, what the proof must look for."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from gateway.redact.composite import identifiers_in, identifiers_in_words, leaves_of
from gateway.redact.identifiers import KeyVerdict, is_stamp, judge_key
from gateway.redact.names import full_names
from gateway.redact.shapes import Rules
from gateway.redact.spellings import is_public_address, needle_of
from gateway.redact.verdict import (
    ANYWHERE,
    CONTACT,
    IP,
    NAME,
    NEVER,
    PHONE,
    UNSEARCHED,
    Denied,
    Finding,
    Gate,
    Kind,
    Need,
    search_of,
)

LONGEST_NAME_CHARS = 64
MANY_DIGITS = re.compile(r"(?:\d\D{0,2}){7}")
SIMPLE = CONTACT | {Kind.IP, Kind.USER_AGENT, Kind.PERSON_ID}
ONE_WORD = re.compile(r"[\w\-]{1,64}")
SHORTEST_WORD, SHORTEST_PART = 3, 5
WORDS = re.compile(r"\W+")


@dataclass(slots=True)
class Ledger:
    """Names go into `removed` and `unknown`, values only into `denied`."""

    gate: Gate
    rules: Rules
    removed: set[str] = field(default_factory=set)
    unknown: dict[str, str] = field(default_factory=dict)
    denied: dict[tuple[str, str], Denied] = field(default_factory=dict)
    allowed: set[str] = field(default_factory=set)
    ids: set[str] = field(default_factory=set)
    _people: set[tuple[str, str]] = field(default_factory=set)
    _names: list[Denied] = field(default_factory=list)
    _spelled: set[str] = field(default_factory=set)

    def went(self, path: str, value: object) -> None:
        """Name what went, unless there was nothing in it."""
        if value:
            self.removed.add(path)

    def deny(self, path: str, kind: Kind, value: object) -> None:
        """Write down every scalar of a denied value, and what is inside it."""
        if kind in UNSEARCHED:
            self.collect(path, value)
            return
        if isinstance(value, str):
            self._deny_leaf(path, kind, value)
            if kind not in SIMPLE and not ONE_WORD.fullmatch(value):
                self.collect(path, value)
            return
        for leaf in leaves_of(value):
            self._deny_leaf(path, kind, leaf)
        if kind not in SIMPLE:
            self.collect(path, value)

    def deny_name(self, path: str, first: str, last: str) -> None:
        """Write down a person's whole name in every spelling, once for all the addresses that it stands in."""
        if (first, last) in self._people:
            return
        self._people.add((first, last))
        for part, spelled in full_names(first, last):
            if part and self.rules.shop_hosts.isdisjoint(map(str.lower, spelled)):
                self._deny_together(path, part, spelled)
            else:
                self._deny_each(path, spelled)

    def _deny_together(self, path: str, part: str, spelled: Sequence[str]) -> None:
        """Write down spellings that one look tells not to be in a text, as long as that is so."""
        texts = dict.fromkeys(map(str.strip, spelled))
        fresh = tuple([one for one in texts if one not in self._spelled and (NAME, one) not in self.denied])
        if fresh:
            self._spelled.update(fresh)
            self._names.append(Denied(path, NAME, part, ANYWHERE, part, fresh))

    def _deny_each(self, path: str, spelled: Sequence[str]) -> None:
        for one in spelled:
            self._deny_leaf(path, NAME, one)

    def _spell_out(self) -> None:
        """Write down each spelling by itself."""
        names, self._names = self._names, []
        self._spelled.clear()
        for one in names:
            self._deny_each(one.path, one.spellings)

    def wanted(self) -> list[Denied]:
        """Return what must be looked for."""
        return [*self.denied.values(), *self._names]

    def allow(self, value: object, *, is_id: bool) -> None:
        """Remember what stays under its own name: elsewhere it may have gone under another.

        `is_id`: it stands in a field that the platform has for it, where a shop may call people by their names.
        """
        needles = set(map(needle_of, leaves_of(value)))
        self.allowed |= needles
        if is_id:
            self.ids |= needles

    def forget_allowed(self) -> None:
        """Look for nothing that may leave."""
        if not self.allowed:
            return
        if any(one.needle in kept for one in self._names for kept in self.allowed):
            self._spell_out()
        for key in [key for key, denied in self.denied.items() if self._may_leave(denied)]:
            del self.denied[key]

    def _may_leave(self, denied: Denied) -> bool:
        """Whether a value that stays says as much; a number or a tag's plain word may stand in another by chance."""
        needle = denied.needle
        if denied.kind in CONTACT and denied.search is ANYWHERE and not needle.isdigit():
            return needle in self.ids
        is_by_chance = needle.isdigit() or (needle.isalpha() and denied.kind not in CONTACT)
        return needle in self.allowed or (is_by_chance and any(needle in one for one in self.allowed))

    def collect(self, path: str, value: object) -> None:
        """Write down the denied identifiers inside something that goes anyway."""
        if found := identifiers_in(value, shapes=False):
            self.note(path, found)

    def note(self, path: str, findings: Sequence[Finding]) -> None:
        """Write down those findings that are denied."""
        for finding in self.gate.denied(findings):
            self._deny_leaf(path, finding.kind, finding.value)

    def holds_denied(self, value: object, *, shapes: bool) -> list[Finding]:
        """Return the findings in a value for which it must go."""
        return self.gate.denied(identifiers_in(value, shapes=shapes))

    def holds_denied_words(self, text: str, *, is_item: bool) -> list[Finding]:
        """Return the findings for which a text that people read must go; a SKU may look like a local phone number."""
        found = self.gate.denied(identifiers_in_words(text))
        return [f for f in found if not is_item or f.kind is not PHONE or _is_international(f.value)]

    def nobody_knows(self, name: str, path: str) -> None:
        """Write down a key that the catalogue does not have, and where it stood."""
        self.unknown[path] = known_key(name).shown

    def names(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return the paths of all that went, and the keys that nobody knows, both in order.

        A key that people wrote, or a page's parameter, may hold a name that only the rest of the payload gives away;
        it is masked.
        """
        asked = {path for path in self.removed if "?" in path}
        written = "\n".join((*self.unknown, *asked)).casefold()
        if written and any(one.needle in written for one in self._names):
            self._spell_out()
        needles = {one.needle for one in self.denied.values() if one.needle in written} if written else set()
        if not needles:
            return tuple(sorted(self.removed.union(self.unknown))), tuple(sorted(set(self.unknown.values())))
        shown = {path: _masked(path, needles) for path in (*self.unknown, *asked)}
        keys = {name if shown[path] == path else "*" for path, name in self.unknown.items()}
        for key, denied in self.denied.items():
            if shown.get(denied.path, denied.path) != denied.path:
                self.denied[key] = denied._replace(path=shown[denied.path])
        return tuple(sorted({*(self.removed - asked), *shown.values()})), tuple(sorted(keys))

    def _deny_leaf(self, path: str, kind: Kind, leaf: str) -> None:
        text = leaf.strip()
        spot = (kind, text)
        if not text or spot in self.denied or (kind is NAME and text in self._spelled):
            return
        lowered = text.lower()
        search = search_of(kind, text)
        if lowered in self.rules.shop_hosts or (kind is IP and not is_public_address(text)):
            search = NEVER
        needle = lowered if text.isascii() and "%" not in text else needle_of(text)
        self.denied[spot] = tuple.__new__(Denied, (path, kind, text, search, needle, ()))  # in half the time

    def denies_contact(self) -> bool:
        """Whether contact data goes."""
        return self.gate.denies(Need.MARKETING, Kind.NAME)


def _is_international(phone: str) -> bool:
    """Whether a phone number in an item's words is no article number: `0012345678905` may well be one."""
    return phone.startswith("+") or (phone.startswith("00") and not phone.isdigit())


class Key(NamedTuple):
    """What the name of an entry or a parameter says, learnt once for all payloads.

    `is_personal`: it looks like an identifier itself, or like something that a person wrote; `shown` is what may be
    told of it.
    """

    verdict: KeyVerdict | None
    is_personal: bool
    is_stamp: bool
    shown: str


def known_key(name: str) -> Key:
    """Return what the catalogue and the name itself say; a long name is read anew each time."""
    return _known_key(name) if len(name) <= LONGEST_NAME_CHARS else _read_key(name)


def _read_key(name: str) -> Key:
    is_strange = len(name) > LONGEST_NAME_CHARS or "\0" in name  # which no PostgreSQL keeps
    is_personal = is_strange or MANY_DIGITS.search(name) or identifiers_in(name, shapes=True)
    return Key(judge_key(name), bool(is_personal), is_stamp(name), "*" if is_personal else name)


_known_key = lru_cache(maxsize=8192)(_read_key)


def _masked(path: str, needles: set[str]) -> str:
    mark = "?" if "?" in path else "["
    start, _, inner = path.rpartition(mark)
    folded = inner.casefold()
    words = {word for word in WORDS.split(folded) if len(word) >= SHORTEST_WORD and not word.isdigit()}
    is_personal = words & needles or any(needle in folded for needle in needles if len(needle) >= SHORTEST_PART)
    if not is_personal:
        return path
    return f"{start}?*" if mark == "?" else f"{start}[*]"

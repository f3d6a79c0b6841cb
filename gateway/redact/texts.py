"""Texts that stay unless they hold a denied value: titles, codes, words of items, addresses of pages."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, NamedTuple

from gateway.redact.composite import may_hold_any
from gateway.redact.ledger import Ledger
from gateway.redact.spellings import Reading
from gateway.redact.verdict import ANYWHERE, LOOSE, Denied


class _Gone:
    """Stands for a value that went, so that nothing in JSON can be mistaken for it."""


GONE: Final = _Gone()
SHORTEST_CHARS = 5
ESCAPED = re.compile(r'["\\\x00-\x1f]')
ITEM_IDS = ("sku", "item_id", "product_id", "variant_id", "id")


class Role(StrEnum):
    """What a text is there for."""

    TEXT = "text"  # a title or a code: goes
    ITEM = "item"  # words of an item: replaced by its SKU
    ATTRIBUTION = "attribution"  # utm words and pages: a city's name is no hit here


ATTRIBUTION = Role.ATTRIBUTION


class Spot(NamedTuple):
    """Where a text stands in the rebuilt payload."""

    container: Any
    key: Any
    path: str
    role: Role
    text: str


@dataclass(slots=True)
class Texts:
    """The texts of one payload, read together once all denied values are known."""

    spots: list[Spot] = field(default_factory=list)
    swept: list[list[dict[str, object]]] = field(default_factory=list)

    def add(self, container: Any, key: Any, path: str, role: Role, text: str) -> None:
        """Remember a text, unless it is too short to hold anything."""
        if len(text) >= SHORTEST_CHARS:
            self.spots.append(tuple.__new__(Spot, (container, key, path, role, text)))  # in half the time

    def add_list(self, items: list[Any], path: str, role: Role) -> None:
        """Remember the texts of a list."""
        for index, item in enumerate(items):
            if isinstance(item, str) and len(item) >= SHORTEST_CHARS:
                self.spots.append(Spot(items, index, path, role, item))

    def add_tree(self, container: Any, key: Any, path: str, role: Role) -> None:
        """Remember every text at and below a place."""
        value = container[key]
        if isinstance(value, str):
            self.add(container, key, path, role, value)
        elif isinstance(value, (dict, list)):
            for below in value if isinstance(value, dict) else range(len(value)):
                self.add_tree(value, below, path, Role.TEXT)

    def sweep_later(self, entries: list[dict[str, object]]) -> None:
        """Remember a list of entries that may lose their values."""
        self.swept.append(entries)

    def settle(self, ledger: Ledger, troubled: Sequence[Spot]) -> None:
        """Take out or replace every text that holds a denied value, and those that are known to hold an identifier."""
        hits = [*troubled, *self._holding_denied(ledger)]
        places = {(id(spot.container), spot.key) for spot in hits}
        for spot in hits:
            ledger.went(spot.path, spot.text)
            _replace(spot, places)
        for entries in self.swept if hits else ():
            entries[:] = [entry for entry in entries if entry.get("value") is not GONE]

    @property
    def are_written_as_they_are(self) -> bool:
        """Whether JSON writes all of them without an escape."""
        return not ESCAPED.search("".join([spot.text for spot in self.spots]))

    def holding_identifiers(self, ledger: Ledger) -> list[Spot]:
        """Return the texts that hold a denied identifier, and write it down."""
        hits: list[Spot] = []
        for spot in self.spots:
            if spot.role is ATTRIBUTION or not may_hold_any(spot.text):
                continue
            findings = ledger.holds_denied_words(spot.text, is_item=spot.role is Role.ITEM)
            if findings:
                ledger.note(spot.path, findings)
                hits.append(spot)
        return hits

    def _holding_denied(self, ledger: Ledger) -> list[Spot]:
        wanted = [denied for denied in ledger.wanted() if denied.search is ANYWHERE]
        if not wanted or not self.spots:
            return []
        reading = Reading('"\n"'.join([spot.text for spot in self.spots]))  # each decoded by itself, as in JSON
        suspects = [denied for denied in reading.suspects(wanted) if denied.search is ANYWHERE]
        held = [denied for denied in suspects if reading.holds(denied)]
        return [spot for spot in self.spots if _holds_any(spot, held)] if held else []


def _holds_any(spot: Spot, hits: list[Denied]) -> bool:
    reading = Reading(spot.text)
    is_attribution = spot.role is Role.ATTRIBUTION
    return any(reading.holds(denied) for denied in hits if not (is_attribution and denied.kind in LOOSE))


def _replace(spot: Spot, troubled: set[tuple[int, Any]]) -> None:
    """Put the item's SKU in the place of its words; anything else goes."""
    if isinstance(spot.container, list):
        spot.container[spot.key] = ""
    elif spot.role is Role.ITEM:
        _replace_by_sku(spot.container, spot.key, troubled)
    elif "value" in spot.container and spot.key == "value":
        spot.container[spot.key] = GONE
    else:
        spot.container.pop(spot.key, None)


def _replace_by_sku(item: dict[str, object], key: str, troubled: set[tuple[int, Any]]) -> None:
    """A SKU that is in trouble itself is no substitute; then an id is."""
    for name in ITEM_IDS:
        if item.get(name) and (id(item), name) not in troubled:
            item[key] = str(item[name])
            return
    item.pop(key, None)
